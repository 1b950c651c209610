"""Whose turn it is in a stage, for any place and back: sources by weight, the increments of a source by what is left
of their epochs, and the layers of an increment by the tokens of their epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from training.order.grid import Grid
from training.order.mixture import Turns, shares


@dataclass(frozen=True)
class Giver:
    """A part of the plan that gives the sequences of its grid from `first` on, the layer of an increment of a source;
    `behind` positions of its stream were given before."""

    part: int
    source: str
    increment: int
    grid: Grid
    first: int

    @property
    def parts(self) -> tuple[int, ...]:
        return (self.part,)

    @property
    def behind(self) -> int:
        return self.grid.start + self.first * self.grid.length

    def counts(self, places: int) -> Iterator[tuple[int, int]]:
        yield self.part, places

    def between(self, first: int, last: int) -> list[tuple[int, int]]:
        return [(self.part, self.first + item) for item in range(first, last)]

    def place(self, part: int, sequence: int) -> int:
        return sequence - self.first


@dataclass(frozen=True)
class Sharing:
    """Members that take turns, from turn `behind` on."""

    members: tuple[Member, ...]
    turns: Turns
    behind: int = 0

    @cached_property
    def parts(self) -> tuple[int, ...]:
        return tuple(part for member in self.members for part in member.parts)

    def counts(self, places: int) -> Iterator[tuple[int, int]]:
        """(part, sequences that it gives) of the first `places` turns."""
        counts = self.turns.counts(self.behind + places)
        for member, taken, former in zip(self.members, counts, self._former, strict=True):
            yield from member.counts(taken - former)

    def between(self, first: int, last: int) -> list[tuple[int, int]]:
        """(part, sequence of its grid) at turns `[first, last)`."""
        turns = self.turns.between(self.behind + first, self.behind + last)
        bounds: dict[int, tuple[int, int]] = {}
        for series, item in turns:
            bounds[series] = bounds.get(series, (item, item))[0], item
        given = {
            series: iter(self.members[series].between(low - self._former[series], high + 1 - self._former[series]))
            for series, (low, high) in bounds.items()
        }
        return [next(given[series]) for series, _ in turns]

    def place(self, part: int, sequence: int) -> int:
        """The turn at which a part gives a sequence of its grid; the inverse of `between`."""
        series = self._series[part]
        item = self._former[series] + self.members[series].place(part, sequence)
        return self.turns.place(series, item) - self.behind

    @cached_property
    def _former(self) -> tuple[int, ...]:
        return self.turns.counts(self.behind) if self.behind else (0,) * len(self.members)

    @cached_property
    def _series(self) -> dict[int, int]:
        return {part: series for series, member in enumerate(self.members) for part in member.parts}


type Member = Giver | Sharing


@dataclass(frozen=True)
class StageOrder:
    """The parts that are read in a stage, by their index in the plan, and how those of them that give something take
    turns."""

    givers: dict[int, Giver]
    turns: Member

    @classmethod
    def of(cls, weights: dict[str, float], givers: Sequence[Giver]) -> StageOrder:
        """`weights` are those of sources, and empty where all give by what is left of their epochs; layers of an
        increment follow one another."""
        order = {giver.part: giver for giver in givers}
        if not weights:
            return cls(order, _increments(givers))
        names = sorted({giver.source for giver in givers if weights.get(giver.source, 0) > 0})
        sources = tuple(_increments([giver for giver in givers if giver.source == name]) for name in names)
        cycle = shares(tuple(weights[name] for name in names))
        return cls(order, _sharing(sources, Turns((0,) * len(cycle), cycle)))

    def counts(self, places: int) -> dict[int, int]:
        """Sequences of each part that its grid has given after the first `places` turns of the stage, those before
        the stage included."""
        counts = {part: giver.first for part, giver in self.givers.items()}
        for part, given in self.turns.counts(places):
            counts[part] += given
        return counts


def _increments(givers: Sequence[Giver]) -> Member:
    """By what is left of their epochs, so that all end theirs together."""
    increments = [tuple(found) for _, found in groupby(givers, key=lambda giver: (giver.source, giver.increment))]
    turns = Turns(tuple(map(_left, increments)), tuple(map(_epoch, increments)))
    return _sharing(tuple(map(_layers, increments)), turns)


def _layers(givers: tuple[Giver, ...]) -> Member:
    """By the tokens of their epochs, from where they were: so they stay in proportion however many stages there are,
    and however much smaller than a sequence a layer is."""
    if len(givers) == 1:
        return givers[0]
    sizes = tuple(giver.grid.stream.length for giver in givers)
    behind = sum(giver.behind for giver in givers) // givers[0].grid.length
    return Sharing(givers, Turns((0,) * len(sizes), sizes), behind)


def _sharing(members: tuple[Member, ...], turns: Turns) -> Member:
    return members[0] if len(members) == 1 else Sharing(members, turns)


def _left(increment: tuple[Giver, ...]) -> int:
    """Sequences left of an increment's epoch."""
    tokens = sum(giver.grid.stream.length for giver in increment)
    return _nearest(tokens - sum(giver.behind for giver in increment) % tokens, increment[0].grid.length)


def _epoch(increment: tuple[Giver, ...]) -> int:
    """Sequences of an increment's epoch."""
    return max(1, _nearest(sum(giver.grid.stream.length for giver in increment), increment[0].grid.length))


def _nearest(tokens: int, length: int) -> int:
    return (2 * tokens + length) // (2 * length)
