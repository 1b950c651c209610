"""How much of a text repeats itself, as Gopher measures it (Rae et al. 2021, arXiv:2112.11446, table A1), in
datatrove's reading and in Dolma's.

Words are compared as small integers: the integer of an n-gram is made from those of the two (n-1)-grams that it
overlaps, and only n-grams whose two parts both repeat can repeat themselves, so that each length costs less than the
one before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

type Integers = NDArray[np.int64]

TOP_LENGTHS = (2, 3, 4)
DUPLICATE_LENGTHS = (5, 6, 7, 8, 9, 10)


def repeated_items(items: Iterable[str]) -> tuple[int, int]:
    """How many items are second or later copies, and how many characters these copies have."""
    seen: set[str] = set()
    copies = characters = 0
    for item in items:
        if item in seen:
            copies += 1
            characters += len(item)
        else:
            seen.add(item)
    return copies, characters


def ngram_characters(word_ids: Integers, word_lengths: Integers) -> dict[int, int]:
    """Characters in repeated n-grams, for n from 2 to 10.

    `word_ids` and `word_lengths` describe each word of the text, in order: equal ids are equal words. For n in
    `TOP_LENGTHS`: length of the most frequent n-gram with single spaces (the first such in the text, on a tie) times
    its overlapping occurrences. For n in `DUPLICATE_LENGTHS`: reading from the left, an n-gram met before counts
    with its characters, spaces left out, and is stepped over whole; any other is remembered, and one word is stepped
    over.
    """
    before = _characters_before(word_lengths)
    found = {}
    for n, starts, ids in _repeated_ngrams(word_ids):
        if n in TOP_LENGTHS:
            first, count = _most_frequent(starts, ids)
            found[n] = (int(before[first + n] - before[first]) + n - 1) * count if len(word_ids) >= n else 0
        else:
            found[n] = _duplicate_characters(starts.tolist(), ids.tolist(), n, before)
    return found


def ngram_shares(word_ids: Integers, word_lengths: Integers) -> dict[int, float]:
    """Shares of characters in repeated n-grams, for n from 2 to 10, in Dolma's reading: all copies count, the first
    too, and spaces do not.

    For n in `TOP_LENGTHS`: of the characters of all words, those in the occurrences of the most frequent n-gram (the
    first such in the text, on a tie). For n in `DUPLICATE_LENGTHS`: of the characters of all n-grams, each counted
    whole, those of the n-grams that occur more than once.
    """
    before = _characters_before(word_lengths)
    found = {}
    for n, starts, ids in _repeated_ngrams(word_ids):
        part = whole = 0
        if len(word_ids) >= n and n in TOP_LENGTHS:
            first, count = _most_frequent(starts, ids)
            part, whole = int(before[first + n] - before[first]) * count, int(before[-1])
        elif len(word_ids) >= n:
            part, whole = int((before[starts + n] - before[starts]).sum()), int((before[n:] - before[:-n]).sum())
        found[n] = part / whole if whole else 0.0
    return found


def repeated_with_first(items: Iterable[str]) -> tuple[int, int]:
    """How many items occur more than once, all copies counted, and how many characters they have."""
    often = [(item, count) for item, count in Counter(items).items() if count > 1]
    return sum(count for _, count in often), sum(len(item) * count for item, count in often)


def _characters_before(word_lengths: Integers) -> Integers:
    return np.concatenate(([0], np.cumsum(word_lengths)))


def _repeated_ngrams(word_ids: Integers) -> Iterator[tuple[int, Integers, Integers]]:
    """For n from 2 to 10: n, where the n-grams that occur more than once start, ascending, and equal numbers for
    equal ones."""
    starts = np.flatnonzero(np.bincount(word_ids)[word_ids] > 1) if len(word_ids) else word_ids
    ids = word_ids[starts]
    # Ids are at most as many as words; fewer than 2^31 words make pairs of ids that fit 64 bits.
    bound = len(word_ids) + 1
    for n in range(2, max(DUPLICATE_LENGTHS) + 1):
        starts, ids = _lengthen(starts, ids, bound)
        yield n, starts, ids


def _repeated(starts: Integers, keys: Integers) -> tuple[Integers, Integers]:
    """Of the n-grams at `starts`, those whose key occurs more than once, numbered densely."""
    if len(keys) == 0:
        return starts, keys
    order = np.argsort(keys)
    ascending = keys[order]
    changes = np.ones(len(keys) + 1, dtype=bool)
    np.not_equal(ascending[1:], ascending[:-1], out=changes[1:-1])
    repeats = np.flatnonzero(~(changes[1:] & changes[:-1]))
    ids = np.zeros(len(keys), dtype=np.int64)
    ids[order[repeats]] = np.cumsum(changes[repeats])
    kept = np.flatnonzero(ids)
    return starts[kept], ids[kept]


def _lengthen(starts: Integers, ids: Integers, bound: int) -> tuple[Integers, Integers]:
    """From the repeated (n-1)-grams, ascending by start, their ids below `bound`, the repeated n-grams."""
    if len(starts) < 2:
        return starts[:0], ids[:0]
    follows = np.flatnonzero(starts[1:] == starts[:-1] + 1)
    keys = ids[follows] * bound + ids[follows + 1]
    return _repeated(starts[follows], keys)


def _most_frequent(starts: Integers, ids: Integers) -> tuple[int, int]:
    """Where the most frequent n-gram first starts, and how often it occurs; the first of the text where none
    repeats."""
    if len(ids) == 0:
        return 0, 1
    counts = np.bincount(ids)[ids]
    most_frequent = int(np.argmax(counts))
    return int(starts[most_frequent]), int(counts[most_frequent])


def _duplicate_characters(starts: Sequence[int], ids: Sequence[int], n: int, characters_before: Integers) -> int:
    """An n-gram that occurs once is never met before and never met again, so the walk visits the repeated ones only."""
    seen: set[int] = set()
    characters = next_start = 0
    for start, ngram in zip(starts, ids, strict=True):
        if start < next_start:
            continue
        if ngram in seen:
            characters += int(characters_before[start + n] - characters_before[start])
            next_start = start + n
        else:
            seen.add(ngram)
    return characters
