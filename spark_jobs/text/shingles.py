"""A text as the set of its word n-grams, each one a 32-bit hash.

Two hashes of a set of n shingles meet by chance with probability n / 2^32 for each shingle, so a Jaccard similarity is off by less than 1e-6
for a page of 2,000 words and by less than 1e-4 for a book of 200,000: far below any difference between thresholds.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import xxhash

_COMBINE = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, odd: Knuth, The Art of Computer Programming, volume 3, section 6.4 (Fibonacci hashing)."""

UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""First and last code points of Thai and Lao, Burmese, Khmer, kana, and Han: written without spaces between words."""

_ASCII_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_ASCII_WORDS = bytes(code if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))


def comparable_words(text: str) -> list[bytes]:
    """Words as they are compared, in UTF-8: lower case, without accents, every number `0`, no punctuation.

    The normalisation of FineWeb's deduplication (Penedo et al. 2024, arXiv:2406.17557, section 3.4), except that a character of a script without spaces is a
    word of its own here, so that such texts can be compared too.
    """
    lowered = text.lower()
    if not lowered.isascii():
        lowered = _typography().sub(" ", lowered)
    if lowered.isascii():
        # The same steps as below on bytes, several times as fast; most English pages come this way.
        zeros = lowered.encode("ascii").translate(_ASCII_DIGITS)
        return _ascii_numbers().sub(b"0", zeros).translate(_ASCII_WORDS).split()
    plain = _marks().sub("", unicodedata.normalize("NFD", lowered))
    words = _words().findall(_numbers().sub("0", plain))
    return " ".join(words).encode().split()


def shingle_hashes(text: str, words_each: int) -> npt.NDArray[np.int32]:
    """Distinct hashes of all runs of `words_each` words, ascending; empty for a text with fewer words.

    Words are hashed once and runs are combined from their hashes: no string is built for a shingle.
    """
    words = comparable_words(text)
    count = len(words) - words_each + 1
    if count < 1:
        return np.empty(0, dtype=np.int32)
    hashes = np.fromiter(map(xxhash.xxh64_intdigest, words), dtype=np.uint64, count=len(words))
    combined = hashes[:count].copy()
    for place in range(1, words_each):
        combined *= _COMBINE
        combined += hashes[place : place + count]
    # The low bits of a product depend on the low bits of its factors alone; the high half depends on all of them.
    combined ^= combined >> np.uint64(32)
    combined *= _COMBINE
    return np.unique((combined >> np.uint64(32)).astype(np.uint32).view(np.int32))


@cache
def _marks() -> re.Pattern[str]:
    """Combining marks (Unicode category Mn), which NFD parts from their letters."""
    marks = (chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) == "Mn")
    return re.compile(f"[{''.join(marks)}\U000e0100-\U000e01ef]+")


@cache
def _typography() -> re.Pattern[str]:
    """Quotation marks, dashes and spaces that are not ASCII: separators on either way, often the only such characters of a page."""
    return re.compile("[\u00a0\u00ab\u00b7\u00bb\u2010-\u205e]+")


@cache
def _ascii_numbers() -> re.Pattern[bytes]:
    return re.compile(rb"0+(?:[.,']0+)*")


@cache
def _numbers() -> re.Pattern[str]:
    return re.compile(r"\d+(?:[.,']\d+)*")


@cache
def _words() -> re.Pattern[str]:
    unspaced = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in UNSPACED)
    return re.compile(rf"[{unspaced}]|[^\W_{unspaced}]+")
