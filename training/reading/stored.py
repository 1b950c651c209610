"""Tokens as they are stored, with what follows each, where documents begin and end among them, and which of them are
withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from training.order.packing import Piece
from training.order.stream import Stream
from training.reading.delta_tokens import PartReader
from training.reading.withdrawn import Increments


@dataclass(frozen=True)
class Stored:
    """Equally long arrays of one dimension; `starts` and `last` mark the first and last tokens of documents, and are
    empty where these do not matter. `out` and `target_out` mark the tokens and the targets that are withdrawn, and are
    empty where nothing is."""

    tokens: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    last: np.ndarray
    out: np.ndarray
    target_out: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, one.name) for one in fields(self))

    def cut(self, low: int, high: int) -> Stored:
        return Stored(*(array[low:high] for array in self.arrays))


def read_plain(part: PartReader, stream: Stream, start: int, end: int, masked: bool, read: Increments | None) -> Stored:
    """The tokens at stream positions `[start, end)`, in their order. Documents are looked at where they are `masked`,
    and withdrawn ones looked for where `read` names the increments that are read."""
    return join([_read_span(part, first, last, masked, read) for first, last in stream.stored(start, end)])


def rearrange(stored: Stored, pieces: Sequence[Piece]) -> Stored:
    """The pieces of a window, laid end to end; each begins as a document of its own."""
    taken = Stored(*(_gather(array, pieces) for array in stored.arrays))
    if len(taken.starts):
        sizes = np.array([end - start for start, end in pieces])
        taken.starts[np.cumsum(sizes) - sizes] = True
    return taken


def join(stretches: Sequence[Stored]) -> Stored:
    """One after the other."""
    if len(stretches) == 1:
        return stretches[0]
    return Stored(*(np.concatenate(arrays) for arrays in zip(*(one.arrays for one in stretches), strict=True)))


def _read_span(part: PartReader, start: int, end: int, masked: bool, read: Increments | None) -> Stored:
    stored = part.read(start, end + 1)
    size = end - start if masked else 0
    starts, last = np.zeros(size, bool), np.zeros(size, bool)
    if masked:
        after = np.array(part.document_ends(start, end), np.int64)
        last[after - 1] = True
        starts[0] = True
        starts[after[after < size]] = True
    out = part.withdrawn(start, end + 1, read) if read is not None else np.zeros(1, bool)
    return Stored(stored[:-1], stored[1:], starts, last, out[:-1], out[1:])


def _gather(array: np.ndarray, pieces: Sequence[Piece]) -> np.ndarray:
    return np.concatenate([array[start:end] for start, end in pieces]) if len(array) else array.copy()
