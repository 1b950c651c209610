"""Tokens as they are stored, with what follows each, and where documents begin and end among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.order.packing import Piece
from training.order.stream import Stream
from training.reading.delta_tokens import PartReader


@dataclass(frozen=True)
class Stored:
    """Equally long arrays of one dimension; `starts` and `last` mark the first and last tokens of documents, and are
    empty where these do not matter."""

    tokens: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    last: np.ndarray

    def cut(self, low: int, high: int) -> Stored:
        return Stored(self.tokens[low:high], self.targets[low:high], self.starts[low:high], self.last[low:high])


def read_plain(part: PartReader, stream: Stream, start: int, end: int, masked: bool) -> Stored:
    """The tokens at stream positions `[start, end)`, in their order; documents are looked at where they are
    `masked`."""
    return join([_read_span(part, first, last, masked) for first, last in stream.stored(start, end)])


def rearrange(stored: Stored, pieces: Sequence[Piece]) -> Stored:
    """The pieces of a window, laid end to end; each begins as a document of its own."""
    taken = Stored(*(_gather(array, pieces) for array in (stored.tokens, stored.targets, stored.starts, stored.last)))
    if len(taken.starts):
        sizes = np.array([end - start for start, end in pieces])
        taken.starts[np.cumsum(sizes) - sizes] = True
    return taken


def join(stretches: Sequence[Stored]) -> Stored:
    """One after the other."""
    if len(stretches) == 1:
        return stretches[0]
    return Stored(
        *(
            np.concatenate([getattr(stretch, name) for stretch in stretches])
            for name in ("tokens", "targets", "starts", "last")
        )
    )


def _read_span(part: PartReader, start: int, end: int, masked: bool) -> Stored:
    stored = part.read(start, end + 1)
    size = end - start if masked else 0
    starts, last = np.zeros(size, bool), np.zeros(size, bool)
    if masked:
        after = np.array(part.document_ends(start, end), np.int64)
        last[after - 1] = True
        starts[0] = True
        starts[after[after < size]] = True
    return Stored(stored[:-1], stored[1:], starts, last)


def _gather(array: np.ndarray, pieces: Sequence[Piece]) -> np.ndarray:
    return np.concatenate([array[start:end] for start, end in pieces]) if len(array) else array.copy()
