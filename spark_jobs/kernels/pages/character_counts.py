"""Counts of words and kinds of characters in many short texts at once: one look at each character, whatever the
number of texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

WORD, UPPER, DIGIT, STOP, MONEY, COPYRIGHT, BREAK = (1 << place for place in range(7))
_SIGNS = {STOP: ".,;!?\u3002\u3001\uff0c", MONEY: "$\u20ac\u00a3\u00a5", COPYRIGHT: "\u00a9", BREAK: "\n"}

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CharacterCounts:
    """One number a text in each array."""

    words: Ints
    """Runs of letters, digits and underscores."""
    capitals: Ints
    """Words that begin with an upper-case letter."""
    numbers: Ints
    """Words that begin with a digit."""
    wanted: Ints
    """Words that are among those asked for when lower-cased."""
    stops: Ints
    money: Ints
    copyrights: Ints
    breaks: Ints


def character_counts(texts: list[str], wanted: frozenset[str] = frozenset()) -> CharacterCounts:
    lengths = np.array(list(map(len, texts)), dtype=np.int64)
    # A line feed after each text, so that no word goes on in the next one.
    ends = np.cumsum(lengths + 1) - 1
    bounds = np.stack([ends - lengths, ends])
    joined = "\n".join([*texts, ""])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = _kinds()[codes]
    edges = np.flatnonzero(np.diff(kinds & WORD, prepend=0))
    first, last = edges[::2], edges[1::2]
    initials = kinds[first]

    def count(places: Ints) -> Ints:
        start, end = np.searchsorted(places, bounds)
        inside: Ints = end - start
        return inside

    signs = np.flatnonzero(kinds & (STOP | MONEY | COPYRIGHT | BREAK))
    sign_kinds = kinds[signs]
    counted = [count(signs[(sign_kinds & kind) > 0]) for kind in _SIGNS]
    found = first[_among(wanted, joined, codes[first], first, last)] if wanted else first[:0]
    return CharacterCounts(
        count(first), count(first[(initials & UPPER) > 0]), count(first[(initials & DIGIT) > 0]), count(found), *counted
    )


def _among(wanted: frozenset[str], joined: str, initials: npt.NDArray[np.uint32], first: Ints, last: Ints) -> Ints:
    """Places of the words that are `wanted` when lower-cased. Few have the length and the initial of such a word;
    only those are looked at."""
    lengths = np.zeros(1 + max(map(len, wanted)), dtype=np.bool_)
    lengths[list(map(len, wanted))] = True
    # What is not ASCII may be anything's upper case.
    letters = np.arange(129) == 128
    letters[[ord(letter) for word in wanted if word[0].isascii() for letter in (word[0], word[0].upper())]] = True
    sizes = last - first
    likely = np.flatnonzero(lengths[np.where(sizes < len(lengths), sizes, 0)] & letters[np.minimum(initials, 128)])
    words = zip(first[likely].tolist(), last[likely].tolist(), strict=True)
    found: Ints = likely[np.array([joined[start:end].lower() in wanted for start, end in words], dtype=np.bool_)]
    return found


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Kinds of each code point, as Python's `re` and `str` have them."""
    characters = np.arange(0x110000, dtype=np.uint32).view("U1")
    kinds = np.zeros(len(characters), dtype=np.uint8)
    for kind, holds in ((WORD, np.strings.isalnum), (UPPER, np.strings.isupper), (DIGIT, np.strings.isdigit)):
        kinds[holds(characters)] |= kind
    kinds[ord("_")] |= WORD
    for kind, signs in _SIGNS.items():
        kinds[list(map(ord, signs))] |= kind
    return kinds
