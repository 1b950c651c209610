"""Global batches, made ready in background threads while the steps before compute."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import xxhash

from training.batch import Batch
from training.delta_tokens import PartReader, TokenTable
from training.plan import Plan, Row

HASH_MASK = (1 << 40) - 1
"""40 bits, so that the sum over thousands of ranks is exact in a float64."""


class BatchReader:
    """Reads the slices of one data-parallel rank."""

    def __init__(self, plan: Plan, table: TokenTable, *, rank: int, ranks: int) -> None:
        self.plan, self._table, self._rank, self._ranks = plan, table, rank, ranks
        self._parts: dict[int, PartReader] = {}

    def again(self) -> BatchReader:
        """Another reader of the same slices, for another thread."""
        return BatchReader(self.plan, self._table, rank=self._rank, ranks=self._ranks)

    def part(self, number: int) -> PartReader:
        """The reader of a part of the plan; one that no batch needs yet opens no file."""
        if number not in self._parts:
            part = self.plan.parts[number]
            self._parts[number] = PartReader(self._table, part.tokens_version, part.source)
        return self._parts[number]

    def read(self, index: int) -> Batch:
        stage = self.plan.stage_of(index)
        rows = self.plan.rows(index, self._rank, self._ranks)
        shape = (len(rows), stage.sequence_length)
        tokens, targets = np.empty(shape, np.int64), np.empty(shape, np.int64)
        starts = np.zeros(shape, bool) if stage.document_mask else None
        counted = np.ones(shape, bool)
        total, first_row = 0, self._rank * len(rows)
        for places in _by_part(rows):
            read = self._sequences(rows[places[0]], len(places), stage.sequence_length, masked=stage.document_mask)
            tokens[places], targets[places] = read.tokens, read.targets
            if starts is not None:
                starts[places], counted[places] = read.starts, ~read.last
            for place, inputs, following in zip(places, read.tokens, read.targets, strict=True):
                total += _hash(inputs, 2 * (first_row + place)) + _hash(following, 2 * (first_row + place) + 1)
        cut = (-1, stage.micro_sequences, stage.sequence_length)
        sources = np.array([self.plan.sources.index(self.plan.parts[row.part].source) for row in rows], np.int64)
        return Batch(
            index=index,
            first_row=first_row,
            tokens=tokens.reshape(cut),
            targets=targets.reshape(cut),
            counted=counted.reshape(cut),
            documents=_numbers(starts).reshape(cut) if starts is not None else None,
            sources=sources.reshape(cut[:2]),
            hash=total & HASH_MASK,
        )

    def _sequences(self, first: Row, count: int, length: int, *, masked: bool) -> _Sequences:
        """`count` sequences of a part from `first` on."""
        part = self.part(first.part)
        read = _Sequences(count, length, part.token_type)
        place = 0
        spans = self.plan.grid(first.stage, first.part).stored(first.sequence, first.sequence + count, part.document_ends)
        for start, end in spans:
            read.put(place, part.read(start, end + 1), part.document_ends(start, end) if masked else None)
            place += end - start
        return read


class _Sequences:
    """Sequences as they are stored, [count, length]; `starts` and `last` mark the first and last tokens of documents, where these are asked for."""

    def __init__(self, count: int, length: int, dtype: np.dtype) -> None:  # type: ignore[type-arg]
        self.tokens, self.targets = np.empty((count, length), dtype), np.empty((count, length), dtype)
        self.starts, self.last = np.zeros((count, length), bool), np.zeros((count, length), bool)

    def put(self, place: int, stored: np.ndarray, ends: list[int] | None) -> None:
        """A span and the token after it, at `place` of all tokens; `ends` are where documents end in it."""
        size = len(stored) - 1
        self.tokens.reshape(-1)[place : place + size] = stored[:-1]
        self.targets.reshape(-1)[place : place + size] = stored[1:]
        if ends is not None:
            after = place + np.array(ends, np.int64)
            self.last.reshape(-1)[after - 1] = True
            self.starts.reshape(-1)[place] = True
            self.starts.reshape(-1)[after[after < place + size]] = True


def prefetch(reader: BatchReader, indices: Sequence[int], depth: int, workers: int) -> Iterator[Batch]:
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
        threading.Thread(target=_read_ahead, args=(reader.again(), indices[number::workers], ready[number], closed), name=f"reader {number}", daemon=True)
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


def _read_ahead(reader: BatchReader, indices: Sequence[int], ready: queue.Queue[Batch | Exception], closed: threading.Event) -> None:
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
