"""A table from millions of strings to small numbers in 12 bytes each: the sorted 64-bit hashes of the strings, and
their numbers beside them.

Two strings share a hash with probability 2^-64, so that among 5 million keys a string that is none of them passes
for one once in 10^12 look-ups.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import xxhash


class HashedKeys:
    """Built once from pairs of key and number; of a repeated key the first number counts."""

    def __init__(self, pairs: Iterable[tuple[str, float]]) -> None:
        hashes, numbers = array("Q"), array("f")
        for key, number in pairs:
            hashes.append(_hashed(key))
            numbers.append(number)
        unsorted = np.frombuffer(hashes, dtype=np.uint64)
        order = np.argsort(unsorted, kind="stable")
        self._hashes = unsorted[order]
        self._numbers = np.frombuffer(numbers, dtype=np.float32)[order]

    def __len__(self) -> int:
        return len(self._hashes)

    def first(self, keys: Sequence[str]) -> tuple[str, float] | None:
        """The first of `keys` that is in the table, with its number."""
        if not keys or not len(self):
            return None
        wanted = np.array([_hashed(key) for key in keys], dtype=np.uint64)
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self) - 1)
        hits = np.flatnonzero(self._hashes[places] == wanted)
        return (keys[hits[0]], float(self._numbers[places[hits[0]]])) if len(hits) else None


def _hashed(key: str) -> int:
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "replace"))
