"""Text as an n-gram model reads it: CCNet's normalisation (Wenzek et al. 2020, arXiv:1911.00359, section 3.3 and its
published code), a line at a time.

Letters become lower case and lose their accents, every digit becomes 0, punctuation of other scripts its ASCII
counterpart, and control characters go.
"""

from __future__ import annotations

import unicodedata
from functools import cache

# Code point and what stands for it. That the full-width one becomes a quotation mark is an oversight there; it stays,
# because published models were trained on it.
_PUNCTUATION = """
FF0C , | 3002 . | 3001 , | 201E " | 201D " | 201C " | AB " | BB " | FF11 " | 300D " | 300C " | 300A " | 300B " | B4 '
2236 : | FF1A : | FF1F ? | FF01 ! | FF08 ( | FF09 ) | FF1B ; | 2013 - | FF5E ~ | 2019 ' | 2026 ... | 2501 - | 3008 <
3009 > | 3010 [ | 3011 ] | FF05 % | 25BA -
"""
# An em dash and a full-width stop also bring spaces.
_SPACED = {0x2014: " - ", 0xFF0E: ". "}


class _Table(dict[int, str | None]):
    """A translation for `str.translate` that learns a character when it first occurs; None removes it."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        kept: str | None = chr(code)
        if category == "Mn" or (category == "Cc" and code != 0x0A):
            kept = None
        elif category == "Nd":
            kept = "0"
        self[code] = kept
        return kept


class _Parting(dict[int, str]):
    """Sets each mark or symbol between spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        parted = f" {character} " if unicodedata.category(character)[0] in "PS" else character
        self[code] = parted
        return parted


def normal_text(text: str) -> str:
    """The text in CCNet's normal form. Line feeds stay; a decomposed letter keeps its base, so a Korean syllable
    becomes its parts, as there."""
    lowered = text.lower()
    return (lowered if lowered.isascii() else unicodedata.normalize("NFD", lowered)).translate(_normal_table())


def word_line(line: str) -> str:
    """A normal line as words and marks with one space between them."""
    return " ".join(line.translate(_parting_table()).split())


@cache
def _normal_table() -> _Table:
    entries = (entry.split() for entry in _PUNCTUATION.replace("\n", " | ").split("|"))
    return _Table({int(entry[0], 16): entry[1] for entry in entries if entry} | _SPACED)


@cache
def _parting_table() -> _Parting:
    return _Parting()
