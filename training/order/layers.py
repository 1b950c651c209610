"""How often a document is read: an increment is split into layers, and each epoch of a layer holds a document or not.

Layer k holds a document of weight w with the chance clamp(w - k, 0, 1), so that over all layers an epoch reads it w
times on average. A document of chance p is in epoch e where floor((e + 1) p + u) > floor(e p + u), u being a hash of
its shuffle key: so E epochs from the first on hold it E p times, rounded up or down, and which epochs these are
depends on nothing but the document and the seed. Chances are integers in units of 2^-32: nothing is rounded twice.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.reading.recent import Recent

type Span = tuple[int, int]
"""[start, end) of stored tokens, of places in an epoch, or of positions in a stream."""

type DocumentsOf = Callable[[str, int], Documents]
"""The documents of an increment of a source."""

ONE = 1 << 32
"""A document that is in every epoch."""

OPEN_EPOCHS = 4
"""Epochs of a layer of which the documents are kept in memory; readers cross from one to the next, and questions
about documents go through all that a run has read."""

AT_ONCE = 1 << 20
"""Documents that are computed with at once."""


@dataclass(frozen=True, eq=False)
class Documents:
    """The documents of an increment in stored order: 24 bytes each."""

    shuffle_keys: np.ndarray
    """int64 [N]"""
    bounds: np.ndarray
    """int64 [N + 1]: where each begins in the stored tokens, and where the last one ends"""
    weights: np.ndarray
    """float64 [N]"""


@dataclass(frozen=True, eq=False)
class Runs:
    """What an epoch holds: runs of stored tokens that follow one another there."""

    starts: np.ndarray
    """int64 [R]: the first stored token of each run, ascending"""
    places: np.ndarray
    """int64 [R + 1]: the place of each run in the epoch, and the end of the last one"""

    @property
    def length(self) -> int:
        """Tokens of the epoch."""
        return int(self.places[-1])

    def stored(self, start: int, end: int) -> Iterator[Span]:
        """The stored tokens at places `[start, end)`."""
        first = int(np.searchsorted(self.places, start, "right")) - 1
        last = int(np.searchsorted(self.places, end, "left"))
        for stored, low, high in self._runs(first, last):
            yield stored + max(start - low, 0), stored + min(end, high) - low

    def of_stored(self, start: int, end: int) -> Iterator[Span]:
        """The places of those of stored tokens `[start, end)` that the epoch holds; the inverse of `stored`."""
        first = max(0, int(np.searchsorted(self.starts, start, "right")) - 1)
        last = int(np.searchsorted(self.starts, end, "left"))
        for stored, low, high in self._runs(first, last):
            begin, stop = low + max(start - stored, 0), min(high, low + end - stored)
            if begin < stop:
                yield begin, stop

    def _runs(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        places = self.places[first : last + 1].tolist()
        return zip(self.starts[first:last].tolist(), places[:-1], places[1:], strict=True)


class Layer:
    """Which of the stored tokens `[0, tokens)` each epoch of layer `number` of an increment holds; threads may share
    one. The documents are read when they are first needed."""

    def __init__(self, read: Callable[[], Documents], number: int, tokens: int, key: int) -> None:
        self._read, self._number, self._tokens, self._key = read, number, tokens, key
        self._lock = threading.RLock()
        self._starts = [0]
        self._open: Recent[int, Runs] = Recent(OPEN_EPOCHS)

    def start(self, epoch: int) -> int:
        """Positions of the stream before an epoch."""
        with self._lock:
            while len(self._starts) <= epoch:
                self._count_next()
            return self._starts[epoch]

    def epoch_at(self, position: int) -> int:
        """The epoch that a position of the stream is in."""
        with self._lock:
            while self._starts[-1] <= position:
                self._count_next()
            return bisect_right(self._starts, position) - 1

    def runs(self, epoch: int) -> Runs:
        with self._lock:
            return self._open.get(epoch, lambda: self._find_runs(epoch))

    def _count_next(self) -> None:
        self._starts.append(self._starts[-1] + self.runs(len(self._starts) - 1).length)

    def _find_runs(self, epoch: int) -> Runs:
        documents, begins, ends = self._documents, [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for low in range(0, len(self._rows), AT_ONCE):
            rows = self._rows[low : low + AT_ONCE]
            offsets = mixed(documents.shuffle_keys[rows], self._key) >> np.uint64(32)
            rows = rows[is_there(chances(documents.weights[rows], self._number), offsets, epoch)]
            begins.append(documents.bounds[rows])
            ends.append(documents.bounds[rows + 1])
        begin, end = np.concatenate(begins), np.minimum(np.concatenate(ends), self._tokens)
        # Documents that are stored one after the other are one run.
        parted = begin[1:] != end[:-1]
        starts = begin[np.concatenate([[True], parted])] if len(begin) else begin
        stops = end[np.concatenate([parted, [True]])] if len(end) else end
        return Runs(starts, np.concatenate([[0], np.cumsum(stops - starts)]))

    @cached_property
    def _documents(self) -> Documents:
        return self._read()

    @cached_property
    def _rows(self) -> np.ndarray:
        """The documents that any epoch holds."""
        return _rows(self._documents, self._number, self._tokens)


def layers_of(heaviest: float) -> int:
    """Layers of an increment, by the weight of its heaviest document."""
    return -(-int(_units(np.array([heaviest]))[0]) // ONE)


def is_whole(lightest: float, number: int) -> bool:
    """Whether every epoch of layer `number` holds all documents, none being lighter than `lightest`."""
    return int(chances(np.array([lightest]), number)[0]) == ONE


def epoch_tokens(documents: Documents, number: int, tokens: int) -> int:
    """How many of the stored tokens `[0, tokens)` an epoch of layer `number` holds on average, to the nearest
    integer."""
    rows, total = _rows(documents, number, tokens), 0
    for low in range(0, len(rows), AT_ONCE):
        chosen = rows[low : low + AT_ONCE]
        sizes = (np.minimum(documents.bounds[chosen + 1], tokens) - documents.bounds[chosen]).astype(np.uint64)
        chance = chances(documents.weights[chosen], number)
        # In two halves, so that no sum outgrows 64 bits.
        total += int(np.sum((chance >> np.uint64(16)) * sizes)) << 16
        total += int(np.sum((chance & np.uint64(0xFFFF)) * sizes))
    return (total + ONE // 2) // ONE


def chances(weights: np.ndarray, number: int) -> np.ndarray:
    """uint64 [N], in units of 2^-32: how likely documents of these weights are in an epoch of layer `number`."""
    base = np.uint64(number * ONE)
    return np.minimum(np.maximum(_units(weights), base) - base, np.uint64(ONE))


def is_there(chance: np.ndarray, offsets: np.ndarray, epoch: int) -> np.ndarray:
    """bool [N]: whether documents of these chances are in an epoch; both are uint64 in units of 2^-32."""
    # What is whole in e p + u decides nothing, so its 64 bits may overflow.
    return ((np.uint64(epoch % ONE) * chance + offsets) & np.uint64(ONE - 1)) + chance >= np.uint64(ONE)


def mixed(values: np.ndarray, key: int) -> np.ndarray:
    """uint64 [N]: the finaliser of SplitMix64, as in `permutation`."""
    mixed = values.astype(np.uint64) + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _units(weights: np.ndarray) -> np.ndarray:
    return np.rint(weights * ONE).astype(np.uint64)


def _rows(documents: Documents, number: int, tokens: int) -> np.ndarray:
    """int64 [n]: documents heavier than `number` that begin in stored tokens `[0, tokens)`."""
    trained = int(np.searchsorted(documents.bounds[:-1], tokens, "left"))
    return np.flatnonzero(documents.weights[:trained] > number)
