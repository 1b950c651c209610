"""Random numbers that depend on nothing but their name, so that no layout, resume or reading order changes them."""

from __future__ import annotations

import numpy as np


def uniforms(count: int, *, seed: int, batch: int, row: int) -> np.ndarray:
    """`count` numbers in [0, 1), float64, of the sequence `row` of global batch `batch`.

    From the generator's raw bits: numpy keeps those the same in every release, but not what its distributions make
    of them (NEP 19).
    """
    raw = np.random.Philox(np.random.SeedSequence((seed, batch, row))).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53
