"""Global batches, made ready in background threads while the steps before compute."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Protocol

import numpy as np
import xxhash

from training.order.grid import Stretch
from training.order.plan import Plan, Row
from training.order.stream import Stream
from training.reading.batch import Batch, hidden_arrays, hide_withdrawn
from training.reading.delta_tokens import PartReader, TokenTable
from training.reading.recent import Recent
from training.reading.stored import Stored, join, read_plain, rearrange
from training.reading.withdrawn import Increments, increments_read

OPEN_WINDOWS = 2
"""Rearranged windows of each part that a reader keeps in memory: a batch may cross from one to the next."""

type Objective = Callable[[Batch], Batch]
"""From a batch as stored to a batch as learned from; a pure function of the batch and its place in the plan."""

HASH_MASK = (1 << 40) - 1
"""40 bits, so that the sum over thousands of ranks is exact in a float64."""


class Reader(Protocol):
    """What reads a rank's slices of global batches."""

    def read(self, index: int) -> Batch: ...

    def again(self) -> Reader:
        """Another reader of the same slices, for another thread."""
        ...


class BatchReader:
    """Reads the slices of one data-parallel rank as `objective` learns from them, without what is withdrawn."""

    def __init__(
        self, plan: Plan, table: TokenTable, *, rank: int, ranks: int, objective: Objective = lambda batch: batch
    ) -> None:
        self.plan, self._table, self._rank, self._ranks, self._objective = plan, table, rank, ranks, objective
        self._end_of_document = table.tokenizer.end_of_document_id
        self._parts: dict[int, PartReader] = {}
        self._windows: Recent[tuple[int, int, bool, Increments | None], Stored] = Recent(OPEN_WINDOWS * len(plan.parts))

    def again(self) -> BatchReader:
        """Another reader of the same slices, for another thread."""
        return BatchReader(self.plan, self._table, rank=self._rank, ranks=self._ranks, objective=self._objective)

    def part(self, number: int) -> PartReader:
        """The reader of a part of the plan; one that no batch needs yet opens no file."""
        if number not in self._parts:
            part = self.plan.parts[number]
            self._parts[number] = PartReader(self._table, part.source, part.number)
        return self._parts[number]

    def read(self, index: int) -> Batch:
        return hide_withdrawn(self._objective(self._read_stored(index)), self._end_of_document)

    def _read_stored(self, index: int) -> Batch:
        """The slice with the hash of what is not withdrawn of it."""
        stage = self.plan.stage_of(index)
        rows = self.plan.rows(index, self._rank, self._ranks)
        shape = (len(rows), stage.sequence_length)
        tokens, targets, counted = np.empty(shape, np.int64), np.empty(shape, np.int64), np.ones(shape, bool)
        starts = np.zeros(shape, bool) if stage.document_mask else None
        read = increments_read(self.plan, index) if self._table.withdrawn.count else None
        withdrawn = np.zeros((2, *shape), bool) if read is not None else None
        total, first_row = 0, self._rank * len(rows)
        for places in _by_part(rows):
            stored = self._stored(rows[places[0]], len(places), stage.document_mask, read)
            own, following = stored.tokens.reshape(-1, shape[1]), stored.targets.reshape(-1, shape[1])
            # A slice is copied at twice the speed of a list of rows.
            where = slice(places[0], places[-1] + 1) if places[-1] - places[0] < len(places) else places
            tokens[where], targets[where] = own, following
            if starts is not None:
                starts[where], counted[where] = stored.starts.reshape(-1, shape[1]), ~stored.last.reshape(-1, shape[1])
            if withdrawn is not None and (stored.out.any() or stored.target_out.any()):
                out = stored.out.reshape(-1, shape[1]), stored.target_out.reshape(-1, shape[1])
                withdrawn[0][where], withdrawn[1][where] = out
                own, following, _ = hidden_arrays(own, following, *out, self._end_of_document)
            for row, place in enumerate(places):
                total += _hash(own[row], 2 * (first_row + place)) + _hash(following[row], 2 * (first_row + place) + 1)
        cut = (-1, stage.micro_sequences, stage.sequence_length)
        numbers = [self.plan.sources.index(part.source) for part in self.plan.parts]
        sources = np.array([numbers[row.part] for row in rows], np.int64)
        return Batch(
            index=index,
            first_row=first_row,
            tokens=tokens.reshape(cut),
            targets=targets.reshape(cut),
            counted=counted.reshape(cut),
            documents=_numbers(starts).reshape(cut) if starts is not None else None,
            sources=sources.reshape(cut[:2]),
            hash=total & HASH_MASK,
            withdrawn=withdrawn.reshape(2, *cut) if withdrawn is not None and withdrawn.any() else None,
        )

    def _stored(self, first: Row, count: int, masked: bool, read: Increments | None) -> Stored:
        """The tokens of `count` sequences of a part from `first` on, end to end."""
        grid = self.plan.grid(first.stage, first.part)
        stretches = grid.stretches(first.sequence, first.sequence + count, self.part(first.part).document_ends)
        return join([self._read(first.part, grid.stream, stretch, masked, read) for stretch in stretches])

    def _read(self, number: int, stream: Stream, stretch: Stretch, masked: bool, read: Increments | None) -> Stored:
        plain = partial(read_plain, self.part(number), stream, stretch.start, stretch.end, masked, read)
        if stretch.arrange is None:
            return plain()
        # The batches to come take the rest of the window.
        key = (number, stretch.start, masked, read)
        window = self._windows.get(key, lambda: rearrange(plain(), stretch.pieces()))
        return window.cut(stretch.low, stretch.high)


def prefetch(reader: Reader, indices: Sequence[int], depth: int, workers: int) -> Iterator[Batch]:
    """The batches of `indices` in their order, at most `depth` ahead; `workers` 0 reads each when it is asked for.

    An error while reading is raised here, in its turn; closing ends the threads.
    """
    if workers == 0:
        for index in indices:
            asked = time.perf_counter()
            yield replace(reader.read(index), waited_seconds=time.perf_counter() - asked)
        return
    ready: list[queue.Queue[Batch | Exception]] = [queue.Queue(max(1, depth // workers)) for _ in range(workers)]
    closed = threading.Event()
    threads = [
        threading.Thread(
            target=_read_ahead,
            args=(reader.again(), indices[number::workers], ready[number], closed),
            name=f"reader {number}",
            daemon=True,
        )
        for number in range(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        for turn in range(len(indices)):
            asked = time.perf_counter()
            item = ready[turn % workers].get()
            if isinstance(item, Exception):
                raise item
            yield replace(item, waited_seconds=time.perf_counter() - asked)
    finally:
        closed.set()
        for thread in threads:
            thread.join()


def _read_ahead(
    reader: Reader, indices: Sequence[int], ready: queue.Queue[Batch | Exception], closed: threading.Event
) -> None:
    for index in indices:
        try:
            item: Batch | Exception = reader.read(index)
        except Exception as error:
            item = error
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
                break
            except queue.Full:
                continue
        if closed.is_set() or isinstance(item, Exception):
            return


def _by_part(rows: list[Row]) -> list[list[int]]:
    """Places of each part's rows in the slice. A part's sequences in a batch follow one another."""
    places = sorted(range(len(rows)), key=lambda place: (rows[place].part, place))
    return [list(found) for _, found in groupby(places, key=lambda place: rows[place].part)]


def _numbers(starts: np.ndarray) -> np.ndarray:
    """Number of the document at each token of [rows, S], from 0, where `starts` marks the first tokens of documents."""
    after_first = starts.copy()
    after_first[:, 0] = False
    return np.cumsum(after_first, axis=1, dtype=np.int32)


def _hash(tokens: np.ndarray, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(tokens.data, seed=seed) & HASH_MASK
