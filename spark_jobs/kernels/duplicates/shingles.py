"""A text as the set of its word n-grams, each one a 32-bit hash.

Two hashes of a set of n shingles meet by chance with probability n / 2^32 for each shingle, so a Jaccard similarity
is off by less than 1e-6 for a page of 2,000 words and by less than 1e-4 for a book of 200,000: far below any
difference between thresholds.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.duplicates.polynomial_hash import mixed, run_hashes, window_hashes
from spark_jobs.kernels.scripts import UNSPACED_BLOCKS

_BETWEEN, _LETTER, _DIGIT, _IN_NUMBERS, _SINGLE, _MARK = range(6)


class Words(NamedTuple):
    """The words of a text in one row of characters, and where each is."""

    characters: npt.NDArray[np.uint8] | npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def strings(self) -> list[str]:
        plain = self.characters.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        return [plain[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]


def comparable_words(text: str) -> list[bytes]:
    """Words as they are compared, in UTF-8: lower case, without accents, every number `0`, no punctuation.

    The normalisation of FineWeb's deduplication (Penedo et al. 2024, arXiv:2406.17557, section 3.4), except that a
    character of a script without spaces is a word of its own here, so that such texts can be compared too.
    """
    return " ".join(find_words(text).strings()).encode().split()


def shingle_hashes(text: str, words_each: int) -> npt.NDArray[np.int32]:
    """Distinct hashes of all runs of `words_each` words, ascending; empty for a text with fewer words.

    Words are hashed once and runs are combined from their hashes: no string is built, for a word or for a shingle.
    """
    combined = window_hashes(run_hashes(*find_words(text)), words_each)
    return np.unique((mixed(combined) >> np.uint64(32)).astype(np.uint32).view(np.int32))


def find_words(text: str) -> Words:
    """The words of `comparable_words`, found with operations on all characters at once; line feeds stay, however
    many other characters go."""
    lowered = text.lower()
    if lowered.isascii():
        characters = np.frombuffer(lowered.encode("ascii"), dtype=np.uint8)
        kinds = _kinds_of_ascii()[characters]
    else:
        # NFD parts accents from their letters.
        plain = unicodedata.normalize("NFD", lowered)
        characters = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        kinds = _kinds_of_characters()[characters]
        is_no_mark = kinds != _MARK
        characters, kinds = characters[is_no_mark], kinds[is_no_mark]
    characters, kinds = _with_numbers_as_zero(characters, kinds)
    is_word = (kinds == _LETTER) | (kinds == _DIGIT) | (kinds == _SINGLE)
    # Neighbours are one word unless one of them is no part of a word, or a word by itself.
    is_apart = ~(is_word[1:] & is_word[:-1]) | (kinds[1:] == _SINGLE) | (kinds[:-1] == _SINGLE)
    is_first, is_last = is_word.copy(), is_word.copy()
    is_first[1:] &= is_apart
    is_last[:-1] &= is_apart
    return Words(characters, np.flatnonzero(is_first), np.flatnonzero(is_last) + 1)


def _with_numbers_as_zero[Characters: (npt.NDArray[np.uint8], npt.NDArray[np.uint32])](
    characters: Characters, kinds: npt.NDArray[np.uint8]
) -> tuple[Characters, npt.NDArray[np.uint8]]:
    """Every run of digits, with single `.`, `,` or `'` between them, as one `0`."""
    in_number = kinds == _DIGIT
    if not in_number.any():
        return characters, kinds
    in_number[1:-1] |= (kinds[1:-1] == _IN_NUMBERS) & in_number[:-2] & in_number[2:]
    stays = np.ones(len(kinds), dtype=bool)
    stays[1:] = ~(in_number[1:] & in_number[:-1])
    zeros = np.where(in_number, characters.dtype.type(ord("0")), characters)
    return zeros[stays], np.where(in_number, np.uint8(_DIGIT), kinds)[stays]


@cache
def _kinds_of_ascii() -> npt.NDArray[np.uint8]:
    return np.array([_kind(chr(code)) for code in range(128)], dtype=np.uint8)


@cache
def _kinds_of_characters() -> npt.NDArray[np.uint8]:
    """The kind of each code point; beyond the planes of letters there are only unspaced Han and variation selectors."""
    kinds = np.zeros(0x110000, dtype=np.uint8)
    kinds[:0x20000] = [_kind(chr(code)) for code in range(0x20000)]
    kinds[0xE0100:0xE01F0] = _MARK
    for first, last in UNSPACED_BLOCKS:
        letters = kinds[first : last + 1]
        letters[(letters != _MARK) & (letters != _DIGIT)] = _SINGLE
    return kinds


def _kind(character: str) -> int:
    if character.isdecimal():
        return _DIGIT
    if character.isalnum():
        return _LETTER
    if unicodedata.category(character) == "Mn":
        return _MARK
    return _IN_NUMBERS if character in ".,'" else _BETWEEN
