"""MinHash signatures equal to those of datasketch 2.0 with its scheme `affine32`.

Broder 1997, "On the resemblance and containment of documents": the smallest value of a random permutation is the
same for two sets with the probability of their Jaccard similarity. The permutations are datasketch's, a h + b mod
2^32 with odd a, over hashes that MurmurHash3's finalizer has mixed. They are drawn here and not by datasketch, so
that another release of it cannot change the signatures of a lake.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

_BLOCK = 4096
"""Shingles at a time: the products of a block stay near the processor however long the document is."""


@cache
def permutations(count: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Factors and addends, each of shape (count, 1), in the order in which datasketch draws them."""
    generator = np.random.RandomState(seed)
    factors = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    addends = generator.randint(0, 1 << 32, count, dtype=np.uint32)
    return factors[:, None], addends[:, None]


def signature(hashes: npt.NDArray[np.int32], count: int, seed: int) -> npt.NDArray[np.uint32]:
    """The MinHash values, shape (count,), of a set of 32-bit hashes; all ones for the empty set, as in datasketch."""
    factors, addends = permutations(count, seed)
    mixed = _finalize(hashes.view(np.uint32))
    smallest = np.full(count, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(mixed), _BLOCK):
        permuted = factors * mixed[start : start + _BLOCK] + addends
        np.minimum(smallest, permuted.min(axis=1), out=smallest)
    return smallest


def _finalize(hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """MurmurHash3's 32-bit finalizer `fmix32` (Appleby, public domain)."""
    mixed = hashes ^ (hashes >> np.uint32(16))
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed
