"""N-grams that a text shares with the items of evaluation sets, found by their hashes in one sorted array.

Overlaps of 13 words mark contamination since GPT-3 (Brown et al. 2020, arXiv:2005.14165, appendix C). Both sides are
normalised by `comparable_words`, so case, accents, punctuation and the values of numbers make no difference. A run
of words meets another one's 64-bit hash with probability 2^-64: among 10 million n-grams of the sets, a billion
documents of 1,000 words have less than one false overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from spark_jobs.kernels.duplicates.polynomial_hash import Hashes, window_hashes
from spark_jobs.kernels.duplicates.shingles import comparable_words
from spark_jobs.kernels.evaluation.evaluation_sets import Item

type Integers = npt.NDArray[np.int64]


class Overlap(NamedTuple):
    """What a text shares with one set: columns of the table `decontamination`."""

    set_name: str
    ngrams: int
    document_share: float
    items: int
    item_share: float
    item_id: str


class SetSize(NamedTuple):
    """A set in numbers: its items, those shorter than the n-gram, those that cannot be found, and the different
    n-grams of the others."""

    items: int
    short_items: int
    ignored_items: int
    ngrams: int


@dataclass(frozen=True)
class NgramIndex:
    """The n-grams of all sets. For `hashes[i]`, the items that hold it are `postings[offsets[i]:offsets[i + 1]]`."""

    ngram: int
    short_lengths: tuple[int, ...]
    """Lengths of the shorter items that are found as a whole."""
    hashes: Hashes
    offsets: Integers
    postings: Integers
    item_ids: tuple[str, ...]
    item_sets: Integers
    item_ngrams: Integers
    """Different n-grams of each item."""
    set_names: tuple[str, ...]


def ngram_hashes(words: Sequence[bytes], length: int) -> Hashes:
    """Hashes of all runs of `length` words, in order, shape (max(0, words - length + 1),); each word is hashed once."""
    return window_hashes(_word_hashes(words), length)


def _word_hashes(words: Sequence[bytes]) -> Hashes:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, words), dtype=np.uint64, count=len(words))


def build_index(
    sets: Mapping[str, Iterable[Item]], ngram: int, shortest_whole: int | None = None
) -> tuple[NgramIndex, dict[str, SetSize]]:
    """The index of all items and the sizes of the sets; items of `shortest_whole` to `ngram - 1` words are found as
    a whole, unless it is None."""
    hashes: list[Hashes] = []
    item_ids: list[str] = []
    item_sets: list[int] = []
    short_lengths: set[int] = set()
    sizes: dict[str, SetSize] = {}
    for number, (name, items) in enumerate(sets.items()):
        total = short = ignored = 0
        first = len(hashes)
        for item in items:
            words = comparable_words(item.text)
            total += 1
            length = ngram
            if len(words) < ngram:
                short += 1
                if shortest_whole is None or len(words) < shortest_whole:
                    ignored += 1
                    continue
                length = len(words)
                short_lengths.add(length)
            hashes.append(np.unique(ngram_hashes(words, length)))
            item_ids.append(item.item_id)
            item_sets.append(number)
        different = len(np.unique(np.concatenate(hashes[first:]))) if len(hashes) > first else 0
        sizes[name] = SetSize(total, short, ignored, different)
    item_ngrams = np.array([len(found) for found in hashes], dtype=np.int64)
    flat = np.concatenate([np.empty(0, np.uint64), *hashes])
    order = np.argsort(flat, kind="stable")
    keys, starts = np.unique(flat[order], return_index=True)
    index = NgramIndex(
        ngram=ngram,
        short_lengths=tuple(sorted(short_lengths)),
        hashes=keys,
        offsets=np.append(starts, len(flat)).astype(np.int64),
        postings=np.repeat(np.arange(len(hashes), dtype=np.int64), item_ngrams)[order],
        item_ids=tuple(item_ids),
        item_sets=np.array(item_sets, dtype=np.int64),
        item_ngrams=item_ngrams,
        set_names=tuple(sets),
    )
    return index, sizes


def overlaps(
    index: NgramIndex, text: str, words_of: Callable[[str], Sequence[bytes]] = comparable_words
) -> list[Overlap]:
    """What the text shares with each set, in the order of the sets; none for sets that it shares nothing with."""
    word_hashes = _word_hashes(words_of(text))
    runs = np.unique(window_hashes(word_hashes, index.ngram))
    places = _places(index, runs)
    all_places = np.unique(
        np.concatenate(
            [places, *(_places(index, window_hashes(word_hashes, length)) for length in index.short_lengths)]
        )
    )
    if not len(all_places):
        return []
    counts = index.offsets[all_places + 1] - index.offsets[all_places]
    # Posting k of place p is at offsets[p] + k.
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    items = index.postings[np.repeat(index.offsets[all_places], counts) + within]
    sets = index.item_sets[items]
    found = []
    for number in np.unique(sets).tolist():
        of_set = sets == number
        touched, shared = np.unique(items[of_set], return_counts=True)
        shares = shared / index.item_ngrams[touched]
        best = int(np.argmax(shares))
        here = np.unique(np.repeat(all_places, counts)[of_set])
        full = int(np.isin(here, places).sum())
        found.append(
            Overlap(
                index.set_names[number],
                len(here),
                full / len(runs) if len(runs) else 0.0,
                len(touched),
                float(shares[best]),
                index.item_ids[int(touched[best])],
            )
        )
    return found


def _places(index: NgramIndex, runs: Hashes) -> Integers:
    """Where those of `runs` that the index has are in it."""
    if not len(index.hashes) or not len(runs):
        return np.empty(0, dtype=np.int64)
    places = np.minimum(np.searchsorted(index.hashes, runs), len(index.hashes) - 1)
    found: Integers = places[index.hashes[places] == runs].astype(np.int64)
    return found
