"""Keyed permutations that are computed, not stored: any element, either way, with no memory and no build step."""

from __future__ import annotations

import hashlib
from functools import lru_cache

ROUNDS = 4
"""Luby and Rackoff 1988 (SIAM J. Comput. 17(2), theorem 2): four rounds look random in both directions."""


@lru_cache(maxsize=4096)
def round_keys(*parts: int | str) -> tuple[int, ...]:
    """Keys of a permutation, from whatever names it (seed, source, epoch, ...)."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return tuple(int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(ROUNDS))


def permute(index: int, size: int, keys: tuple[int, ...]) -> int:
    """Where the permutation of `range(size)` sends `index`.

    A Feistel network on the smallest even number of bits that holds `size`, walked along its cycle until it is back
    in range (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section 4): fewer than four steps on
    average.
    """
    half = _half_bits(size)
    while True:
        index = _encrypt(index, half, keys)
        if index < size:
            return index


def unpermute(index: int, size: int, keys: tuple[int, ...]) -> int:
    """The inverse of `permute`."""
    half = _half_bits(size)
    while True:
        index = _decrypt(index, half, keys)
        if index < size:
            return index


def _half_bits(size: int) -> int:
    return max(1, -(-(size - 1).bit_length() // 2))


def _mix(value: int, key: int, mask: int) -> int:
    # The finaliser of SplitMix64 (Steele et al. 2014, section 4): every input bit reaches every output bit.
    value = (value + key) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 31)) & mask


def _encrypt(value: int, half: int, keys: tuple[int, ...]) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for key in keys:
        left, right = right, left ^ _mix(right, key, mask)
    return left << half | right


def _decrypt(value: int, half: int, keys: tuple[int, ...]) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for key in reversed(keys):
        left, right = right ^ _mix(left, key, mask), left
    return left << half | right
