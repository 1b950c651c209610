"""Where a text may repeat another: stretches around content-defined anchors, whose digests are equal exactly where
the stretches are.

Every window of `tokens` tokens (a *gram*) has an anchor, the run of `anchor_tokens` tokens in it whose hash is
smallest, the first of equal ones: a minimiser (Schleimer et al. 2003, "Winnowing", section 3). Consecutive grams
mostly share their anchor; together they are its *region*.

1. Equal grams, wherever they are, have equal anchors at equal places. So a gram that occurs twice lies in two
regions whose anchors are equal.
2. Equal regions have equal grams at equal places. So all but the first of equal regions consist of repeated grams.
3. A gram lies once in a region at most. So the first place of a gram is in the first place of one of the different
regions around its anchor.

Hence only regions have to be compared, one for about (tokens - anchor_tokens + 2) / 2 tokens, and single grams only
in the first places of different regions around equal anchors. Texts are compared with each run of white space as one
space. A token is a run of other characters, or one character of a script that is written without spaces. Equality is
that of 128-bit digests of whole stretches; the hashes of anchors only choose what is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.duplicates.polynomial_hash import Hashes, run_hashes
from spark_jobs.kernels.duplicates.stretches import Integers, Stretches, stretches_of
from spark_jobs.kernels.scripts import UNSPACED_BLOCKS

_OTHER, _SPACE, _SINGLE = 0, 1, 2


class Tokens(NamedTuple):
    """A text with its white space made equal, and where its tokens are, in it and in the text as given."""

    characters: npt.NDArray[np.uint32]
    starts: Integers
    ends: Integers
    text_starts: Integers
    text_ends: Integers


def anchored_regions(text: str, tokens: int, anchor_tokens: int) -> tuple[Integers, Stretches]:
    """The regions of all grams of `tokens` tokens, in order, and the hashes of their anchors; none for a shorter
    text."""
    found = find_tokens(text)
    grams = len(found.starts) - tokens + 1
    if grams < 1:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, _stretches(found, nothing, nothing)
    hashes = run_hashes(
        found.characters, found.starts[: len(found.starts) - anchor_tokens + 1], found.ends[anchor_tokens - 1 :]
    )
    # The position below the hash makes the first of equal ones the smallest, however far from the start of the text.
    ranked = (hashes & np.uint64(0xFFFFFFFF00000000)) | np.arange(len(hashes), dtype=np.uint64)
    anchors = _sliding_minimum(ranked, tokens - anchor_tokens + 1) & np.uint64(0xFFFFFFFF)
    first = np.flatnonzero(np.diff(anchors, prepend=np.uint64(0xFFFFFFFF)))
    last = np.append(first[1:], grams) - 1
    return hashes[anchors[first]].view(np.int64), _stretches(found, first, last + tokens - 1)


def grams_within(text: str, regions: Sequence[tuple[int, int]], tokens: int) -> Stretches:
    """The grams of `tokens` tokens in regions (start, end) of the text, as `anchored_regions` gives them."""
    found = find_tokens(text)
    starts, ends = np.array(regions, dtype=np.int64).reshape(-1, 2).T
    first = np.searchsorted(found.text_starts, starts)
    after = np.searchsorted(found.text_ends, ends) - tokens + 2
    grams = np.concatenate([np.empty(0, dtype=np.int64), *map(np.arange, first, after)])
    return _stretches(found, grams, grams + tokens - 1)


def find_tokens(text: str) -> Tokens:
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    kinds = _kinds_of_characters()[characters]
    is_space = kinds == _SPACE
    # A token begins where the kind of character changes, and every character of a script without spaces is one.
    border = np.empty(len(kinds) + 1, dtype=bool)
    border[0] = border[-1] = True
    border[1:-1] = (kinds[1:] != kinds[:-1]) | (kinds[1:] == _SINGLE)
    text_starts = np.flatnonzero(border[:-1] & ~is_space)
    text_ends = np.flatnonzero(border[1:] & ~is_space) + 1
    stays = ~is_space
    stays[:-1] |= stays[1:]
    # Where each character would be after the spaces before it are gone.
    place = np.cumsum(stays) - 1 if len(stays) else np.empty(0, np.int64)
    plain = np.where(is_space, np.uint32(32), characters)[stays]
    return Tokens(plain, place[text_starts], place[text_ends - 1] + 1, text_starts, text_ends)


def _sliding_minimum(values: Hashes, width: int) -> Hashes:
    """The smallest of each `width` neighbours, shape (len(values) - width + 1,), by doubling."""
    smallest, reach = values, 1
    while 2 * reach <= width:
        smallest = np.minimum(smallest[:-reach], smallest[reach:])
        reach *= 2
    rest = width - reach
    return np.minimum(smallest[: len(smallest) - rest], smallest[rest:])


def _stretches(found: Tokens, first: Integers, last: Integers) -> Stretches:
    """From token `first` to token `last`, inclusive."""
    view = memoryview(found.characters).cast("B")
    bounds = zip((4 * found.starts[first]).tolist(), (4 * found.ends[last]).tolist(), strict=True)
    return stretches_of((view[start:end] for start, end in bounds), found.text_starts[first], found.text_ends[last])


@cache
def _kinds_of_characters() -> npt.NDArray[np.uint8]:
    """For each code point whether it is white space, a token of its own, or neither."""
    kinds = np.zeros(0x110000, dtype=np.uint8)
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = _SPACE
    for first, last in UNSPACED_BLOCKS:
        kinds[first : last + 1] = _SINGLE
    return kinds
