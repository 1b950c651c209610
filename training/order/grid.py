"""A part's stream cut into sequences: the windows of one sequence length and packing, and how it goes on where
another one stopped.

The sequences of a grid cover every position of the stream from its start on exactly once. A window that is left half
used when the sequence length or the packing changes is used up first, in its order, by the grid that follows: so a
change repeats and skips nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from training.order.layers import Span
from training.order.packing import Piece, best_fit
from training.order.permutation import permute, round_keys
from training.order.stream import Stream
from training.settings.data import Packing

type DocumentEnds = Callable[[int, int], list[int]]
"""Where documents end in stored tokens (start, end], relative to `start`."""


@dataclass(frozen=True)
class Stretch:
    """Places `[low, high)` of stream positions `[start, end)`, which are in their own order, or in that of the
    pieces that `arrange` cuts them into."""

    start: int
    end: int
    low: int
    high: int
    arrange: Callable[[], list[Piece]] | None = None
    """Not the pieces themselves: who has kept the window from the batch before does not need them, and to pack it
    takes a while."""

    def pieces(self) -> list[Piece]:
        return self.arrange() if self.arrange else [(0, self.end - self.start)]


@dataclass(frozen=True)
class Grid:
    """Sequences of `length` positions of `stream` from position `start` on, in windows of `window` sequences;
    `before` is the grid that stopped there."""

    stream: Stream
    start: int
    length: int
    packing: Packing
    window: int
    before: Grid | None = None

    @property
    def _inherited_end(self) -> int:
        """Where the last window that an earlier grid began ends, if it began any that it did not use up."""
        return self.before._end_of_order_at(self.start) if self.before else self.start

    @property
    def windows_start(self) -> int:
        """Where this grid's own windows begin: after the sequences that still are made of an earlier grid's window."""
        return self.start + -(-(self._inherited_end - self.start) // self.length) * self.length

    def follow(self, sequences: int, length: int, packing: Packing, window: int) -> Grid:
        """The grid that goes on after `sequences` of this one."""
        start = self.start + sequences * self.length
        return Grid(self.stream, start, length, packing, window, self if self._end_of_order_at(start) > start else None)

    def reached(self, sequences: int) -> int:
        """Up to which position of the stream something may have been read after `sequences` of this grid."""
        return self._end_of_order_at(self.start + sequences * self.length)

    def stretches(self, first: int, last: int, ends: DocumentEnds) -> Iterator[Stretch]:
        """What the sequences `[first, last)` read, end to end."""
        yield from self._ordered(self.start + first * self.length, self.start + last * self.length, ends)

    def positions(self, first: int, last: int, ends: DocumentEnds) -> Iterator[Span]:
        """The same as spans of stream positions; `best_fit` pieces are spans of their own."""
        for stretch in self.stretches(first, last, ends):
            for start, end in _cut(stretch.pieces(), stretch.low, stretch.high):
                yield stretch.start + start, stretch.start + end

    def stored(self, first: int, last: int, ends: DocumentEnds) -> Iterator[Span]:
        """The same as spans of stored tokens."""
        for start, end in self.positions(first, last, ends):
            yield from self.stream.stored(start, end)

    def readers(self, start: int, end: int, ends: DocumentEnds) -> Iterator[tuple[int, int, int]]:
        """(sequence, offset in it, tokens) of what reads stream positions `[start, end)`, in their order; negative
        sequences are of earlier grids."""
        for place, size in self._places(start, end, ends):
            offset = place - self.start
            while size > 0:
                sequence, inside = divmod(offset, self.length)
                taken = min(size, self.length - inside)
                yield sequence, inside, taken
                offset, size = offset + taken, size - taken

    def _ordered(self, start: int, end: int, ends: DocumentEnds) -> Iterator[Stretch]:
        """What stands at places `[start, end)` of the grid's order, which is the stream's with the inside of windows
        rearranged."""
        while start < end:
            if start < self._inherited_end and self.before:
                stop = min(end, self._inherited_end)
                yield from self.before._ordered(start, stop, ends)
            elif start < self.windows_start or not self._is_rearranged(self._window_at(start)):
                stop = min(end, self.windows_start if start < self.windows_start else self._end_of_plain(start))
                yield Stretch(start, stop, 0, stop - start)
            else:
                window = self._window_at(start)
                width = self.window * self.length
                base = self.windows_start + window * width
                stop = min(end, base + width)
                yield Stretch(base, base + width, start - base, stop - base, partial(_arrange, self, window, ends))
            start = stop

    def _places(self, start: int, end: int, ends: DocumentEnds) -> Iterator[Span]:
        """(place in the grid's order, length) of each run of positions `[start, end)` that stays together; the
        inverse of `_ordered`."""
        while start < end:
            if start < self._inherited_end and self.before:
                stop = min(end, self._inherited_end)
                yield from self.before._places(start, stop, ends)
            elif start < self.windows_start or not self._is_rearranged(self._window_at(start)):
                stop = min(end, self.windows_start if start < self.windows_start else self._end_of_plain(start))
                yield start, stop - start
            else:
                window = self._window_at(start)
                base = self.windows_start + window * self.window * self.length
                stop = min(end, base + self.window * self.length)
                place, found = base, []
                for piece_start, piece_end in _arrange(self, window, ends):
                    low, high = max(base + piece_start, start), min(base + piece_end, stop)
                    if low < high:
                        found.append((low, place + low - base - piece_start, high - low))
                    place += piece_end - piece_start
                yield from ((place, size) for _, place, size in sorted(found))
            start = stop

    def _window_at(self, place: int) -> int:
        return (place - self.windows_start) // (self.window * self.length)

    def _is_rearranged(self, window: int) -> bool:
        """The stored order is a random one already, so what is in it is read as it is stored where nothing is
        packed."""
        start = self.windows_start + window * self.window * self.length
        return self.packing == "best_fit" or start >= self.stream.in_stored_order

    def _end_of_plain(self, place: int) -> int:
        """Up to where places are positions from here on: the first window after what is in stored order."""
        width = self.window * self.length
        return self.windows_start + -(-(self.stream.in_stored_order - self.windows_start) // width) * width

    def _end_of_order_at(self, place: int) -> int:
        """Up to where the grid's order must be kept by one that takes over at `place`."""
        if place < self._inherited_end:
            return self._inherited_end
        if place <= self.windows_start:
            return place
        window = self._window_at(place)
        base = self.windows_start + window * self.window * self.length
        return base + self.window * self.length if place > base and self._is_rearranged(window) else place


@lru_cache(maxsize=32)
def _arrange(grid: Grid, window: int, ends: DocumentEnds) -> list[Piece]:
    """The pieces of a window in the order in which they are read, relative to its first position."""
    width = grid.window * grid.length
    base = grid.windows_start + window * width
    keys = round_keys(*grid.stream.key, base, grid.length, "window")
    order = [permute(slot, grid.window, keys) for slot in range(grid.window)]
    if grid.packing == "chop":
        return [(slot * grid.length, (slot + 1) * grid.length) for slot in order]
    bounds, offset = [], 0
    for start, end in grid.stream.stored(base, base + width):
        bounds += [offset + bound for bound in ends(start, end)]
        offset += end - start
        if not bounds or bounds[-1] != offset:
            bounds.append(offset)
    packed = best_fit(bounds, grid.window, grid.length)
    return [piece for slot in order for piece in packed[slot]]


def _cut(pieces: list[Piece], first: int, last: int) -> Iterator[Piece]:
    """What of the pieces, laid end to end, lies at `[first, last)`."""
    place = 0
    for start, end in pieces:
        low, high = max(first - place, 0), min(last - place, end - start)
        if low < high:
            yield start + low, start + high
        place += end - start
        if place >= last:
            return
