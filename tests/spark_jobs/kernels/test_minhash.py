"""Signatures against datasketch, the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.minhash import signature

HASHES = st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=300, unique=True)


def datasketch_signature(hashes: np.ndarray, count: int, seed: int) -> list[int]:
    sketch = MinHash(
        num_perm=count, seed=seed, scheme="affine32", hashfunc=lambda value: int.from_bytes(value, "little")
    )
    for value in hashes:
        sketch.update(value.tobytes())
    return sketch.hashvalues.tolist()


@given(HASHES, st.sampled_from([1, 2, 112, 128]), st.sampled_from([0, 1, 42]))
@settings(max_examples=60, deadline=None)
def test_signatures_equal_those_of_datasketch(values, count, seed):
    hashes = np.array(values, dtype="<i4")
    assert signature(hashes, count, seed).tolist() == datasketch_signature(hashes, count, seed)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 10_000])
def test_a_long_document_is_signed_in_blocks_with_the_same_result(size):
    hashes = np.random.default_rng(size).integers(-(1 << 31), 1 << 31, size, dtype=np.int32)
    assert signature(hashes, 112, 1).tolist() == datasketch_signature(hashes, 112, 1)


def test_agreement_estimates_the_jaccard_similarity():
    draw = np.random.default_rng(7)
    shared, one, other = (draw.integers(-(1 << 31), 1 << 31, size, dtype=np.int32) for size in (6000, 2000, 2000))
    agree = signature(np.concatenate([shared, one]), 1024, 1) == signature(np.concatenate([shared, other]), 1024, 1)
    assert agree.mean() == pytest.approx(0.6, abs=0.05)
