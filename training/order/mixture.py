"""Whose turn it is: series that take turns in proportion to their sizes, evenly spread, computed for any place and
either way.

Item `k` of a series of `n` stands at (2 k + 1) / 2 n of the whole, so each prefix holds every series in proportion.
Ties go to the earlier series. Exact integers throughout: nothing drifts, however long the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

type Sizes = tuple[int, ...]

SHARES = 1_000_000
"""Turns of a cycle that weights are rounded to."""


@dataclass(frozen=True)
class Turns:
    """Endless turns: `head` once, and then `cycle` again and again; each holds the items of every series."""

    head: Sizes
    cycle: Sizes

    def counts(self, places: int) -> Sizes:
        """Items of each series in the first `places` turns."""
        lead = sum(self.head)
        if places <= lead:
            return counts_before(places, self.head)
        cycles, rest = divmod(places - lead, sum(self.cycle))
        part = counts_before(rest, self.cycle)
        return tuple(
            first + cycles * whole + some for first, whole, some in zip(self.head, self.cycle, part, strict=True)
        )

    def between(self, first: int, last: int) -> list[tuple[int, int]]:
        """(series, item) of turns `[first, last)`."""
        lead, length = sum(self.head), sum(self.cycle)
        turns: list[tuple[int, int]] = []
        while first < last:
            if first < lead:
                start, sizes, done = 0, self.head, (0,) * len(self.head)
            else:
                cycles = (first - lead) // length
                start, sizes = lead + cycles * length, self.cycle
                done = tuple(size + cycles * whole for size, whole in zip(self.head, self.cycle, strict=True))
            end = min(last, start + sum(sizes))
            turns += [(series, done[series] + item) for series, item in merged(first - start, end - start, sizes)]
            first = end
        return turns

    def place(self, series: int, item: int) -> int:
        """The turn of an item; the inverse of `between`."""
        if item < self.head[series]:
            return place_of(series, item, self.head)
        cycles, rest = divmod(item - self.head[series], self.cycle[series])
        return sum(self.head) + cycles * sum(self.cycle) + place_of(series, rest, self.cycle)


def shares(weights: tuple[float, ...]) -> Sizes:
    """Weights as parts of a cycle, by the largest remainder; a weight above 0 gets at least one turn."""
    total = sum(weights)
    exact = [weight / total * SHARES for weight in weights]
    whole = [max(1, int(share)) if share > 0 else 0 for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda series: (int(exact[series]) - exact[series], series))
    for series in by_remainder[: max(0, SHARES - sum(whole))]:
        whole[series] += 1
    return tuple(whole)


def place_of(series: int, item: int, sizes: Sizes) -> int:
    """Where item `item` of a series stands among all items."""
    count = 0
    own, size = sizes[series], 2 * item + 1
    for other, total in enumerate(sizes):
        # Item k of another series is before where (2 k + 1) * own < (2 item + 1) * total, or equal and the other series
        # is the earlier.
        target = size * total
        if other == series:
            count += item
        elif other < series:
            count += min(total, (target // own + 1) // 2)
        else:
            count += min(total, ((target - 1) // own + 1) // 2)
    return count


def counts_before(place: int, sizes: Sizes) -> Sizes:
    """Items of each series among the first `place` of all."""
    whole, key = max(1, sum(sizes)), _keys(sizes)
    # Up to a point of the whole a series has at most half an item more than in proportion: together not more than are
    # asked for, nor many less.
    point = max(0, place - len(sizes))
    counts = [min(size, max(0, -((whole - 2 * size * point) // (2 * whole)))) for size in sizes]
    following = [(key(series, count), series) for series, count in enumerate(counts) if count < sizes[series]]
    heapify(following)
    for _ in range(place - sum(counts)):
        series = following[0][1]
        counts[series] += 1
        if counts[series] < sizes[series]:
            heapreplace(following, (key(series, counts[series]), series))
        else:
            heappop(following)
    return tuple(counts)


def merged(first: int, last: int, sizes: Sizes) -> list[tuple[int, int]]:
    """(series, item) at places `[first, last)` of all items."""
    starts, ends, key = counts_before(first, sizes), counts_before(last, sizes), _keys(sizes)
    keyed = [
        (key(series, item), series, item)
        for series, (start, end) in enumerate(zip(starts, ends, strict=True))
        for item in range(start, end)
    ]
    return [(series, item) for _, series, item in sorted(keyed)]


def _keys(sizes: Sizes) -> Callable[[int, int], int]:
    """Integers in the order of (2 k + 1) / 2 n: two of these that differ do so by at least 1 / 4 n m, which is more
    than the last bit that is kept."""
    bits = 2 * max(sizes).bit_length() + 2
    return lambda series, item: ((2 * item + 1) << bits) // (2 * sizes[series])
