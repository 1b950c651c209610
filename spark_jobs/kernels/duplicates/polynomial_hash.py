"""Hashes of many runs of one text at once, modulo 2^64: of runs of characters wherever they begin and end, by prefix
sums, and of all runs of so many neighbouring words, from the words' hashes.

The hash of characters c_0 ... c_n is the mixed value of c_0 + c_1 B + ... + c_n B^n, wherever the run is: the
difference of two prefix sums, divided by a power of B, which an odd B allows (Karp and Rabin 1987, "Efficient
randomized pattern-matching algorithms", with 2^64 in place of a prime).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

type Hashes = npt.NDArray[np.uint64]

BASE = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, odd: Knuth, The Art of Computer Programming, volume 3, section 6.4 (Fibonacci
hashing)."""


def run_hashes(
    characters: npt.NDArray[np.integer], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> Hashes:
    """The hashes of the runs from each start to each end (exclusive), shape (len(starts),)."""
    powers, inverses = _powers(1 << len(characters).bit_length())
    sums = np.zeros(len(characters) + 1, dtype=np.uint64)
    np.cumsum(characters * powers[: len(characters)], out=sums[1:])
    return mixed((sums[ends] - sums[starts]) * inverses[starts])


def window_hashes(hashes: Hashes, length: int) -> Hashes:
    """The hashes of all runs of `length` neighbours, from the hash of each; shape (max(0, n - length + 1),) for n
    hashes."""
    count = max(0, len(hashes) - length + 1)
    combined = hashes[:count].copy()
    for place in range(1, length):
        combined *= np.uint64(BASE)
        combined += hashes[place : place + count]
    return combined


def mixed(values: Hashes) -> Hashes:
    """The values, changed in place, with every bit depending on all bits below it, and the high ones on all."""
    # The low bits of a product depend on the low bits of its factors alone; the high half depends on all of them.
    values ^= values >> np.uint64(32)
    values *= np.uint64(BASE)
    values ^= values >> np.uint64(29)
    values *= np.uint64(BASE)
    return values


@cache
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """The powers of the base and of its inverse; a worker keeps one pair for each power of two of text lengths."""
    powers, inverses = np.full(count, BASE, dtype=np.uint64), np.full(count, pow(BASE, -1, 1 << 64), dtype=np.uint64)
    for factors in (powers, inverses):
        factors[0] = 1
        np.cumprod(factors, out=factors)
    return powers, inverses
