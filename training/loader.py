"""Global batches, made ready in a background thread while the step before computes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xxhash

from training.delta_tokens import SourceReader, TokenTable
from training.plan import Plan

HASH_MASK = (1 << 40) - 1
"""40 bits, so that the sum over thousands of ranks is exact in a float64."""


@dataclass(frozen=True)
class Batch:
    """A rank's slice of global batch `index`: int64 token ids [micro-batches, sequences, S + 1].

    `hash` is a sum over the sequences of hashes of their place in the batch and their tokens: summed over ranks it is the same for every layout.
    """

    index: int
    sequences: np.ndarray
    hash: int
    waited_seconds: float = 0.0


class BatchReader:
    """Reads the slices of one data-parallel rank."""

    def __init__(self, plan: Plan, table: TokenTable, *, rank: int, ranks: int, micro_sequences: int) -> None:
        self._plan, self._rank, self._ranks, self._micro_sequences = plan, rank, ranks, micro_sequences
        self._sources = {source.name: SourceReader(table, source.name) for source in plan.sources}

    def read(self, index: int) -> Batch:
        plan = self._plan
        share = plan.batch_sequences // self._ranks
        sequences = np.empty((share, plan.sequence_length + 1), np.int64)
        total = 0
        for row, sample in enumerate(plan.batch(index, self._rank, self._ranks)):
            tokens = self._sources[sample.source].read(sample.index * plan.sequence_length, plan.sequence_length + 1)
            sequences[row] = tokens
            total += xxhash.xxh3_64_intdigest(tokens.tobytes(), seed=self._rank * share + row) & HASH_MASK
        return Batch(index, sequences.reshape(-1, self._micro_sequences, plan.sequence_length + 1), total & HASH_MASK)


def prefetch(reader: BatchReader, first: int, last: int, depth: int) -> Iterator[Batch]:
    """Batches `[first, last)` in order, at most `depth` ahead. An error while reading is raised here, in its turn; closing ends the thread."""
    ready: queue.Queue[Batch | Exception] = queue.Queue(depth)
    closed = threading.Event()

    def read_ahead() -> None:
        for index in range(first, last):
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

    thread = threading.Thread(target=read_ahead, name="read ahead", daemon=True)
    thread.start()
    try:
        for _ in range(first, last):
            asked = time.perf_counter()
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield Batch(item.index, item.sequences, item.hash, time.perf_counter() - asked)
    finally:
        closed.set()
        thread.join()
