"""What kinds of characters a text has, and where: one byte of flags for each character, so that shares of
characters, lines and words are sums over arrays.

Flags are those of Python's `str` methods; a table holds them for every character below U+32400, beyond which no
letters are assigned.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Flags = NDArray[np.uint8]

ALPHABETIC: Final = 1
NUMERIC: Final = 2
"""Digits of all kinds (`str.isdigit`)."""
UPPERCASE: Final = 4
SPACE: Final = 8
ALPHANUMERIC: Final = 16
PARENTHESIS: Final = 32
SYMBOL: Final = 64
"""The hash sign and the ellipsis as one character: the two that Gopher counts."""

PARENTHESES: Final = "()[]{}\u27e8\u27e9"
SYMBOLS: Final = "#\u2026"
_TABLE_SIZE: Final = 0x32400


def character_flags(text: str) -> Flags:
    """One byte for each character of `text`, in order."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii").translate(_ascii_table()), dtype=np.uint8)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    flags = np.frombuffer(bytearray(codes.astype(np.uint8).tobytes().translate(_ascii_table())), dtype=np.uint8)
    beyond = np.flatnonzero(codes >= 128)
    flags[beyond] = _table()[np.minimum(codes[beyond], _TABLE_SIZE - 1)]
    return flags


def count_before(flags: Flags, kind: int) -> NDArray[np.int64]:
    """For each place of a text of n characters, n + 1 places in all, how many characters of the kind come before it."""
    before = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum((flags & kind) != 0, out=before[1:])
    return before


def word_bounds(flags: Flags) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of the stretches between white space, as `str.split` has them."""
    filled = np.zeros(len(flags) + 2, dtype=np.int8)
    filled[1:-1] = (flags & SPACE) == 0
    changes = np.diff(filled)
    return np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)


@cache
def _ascii_table() -> bytes:
    return _table()[:256].tobytes()


@cache
def _table() -> Flags:
    characters = [chr(code) for code in range(_TABLE_SIZE)]
    table = np.zeros(_TABLE_SIZE, dtype=np.uint8)
    for flag, holds in (
        (ALPHABETIC, str.isalpha),
        (NUMERIC, str.isdigit),
        (UPPERCASE, str.isupper),
        (SPACE, str.isspace),
        (ALPHANUMERIC, str.isalnum),
        (PARENTHESIS, PARENTHESES.__contains__),
        (SYMBOL, SYMBOLS.__contains__),
    ):
        table |= np.fromiter(map(holds, characters), dtype=np.uint8, count=_TABLE_SIZE) * np.uint8(flag)
    return table
