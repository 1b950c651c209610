"""The order of training data: which sequence of which source is where in which global batch, as a pure function of
the plan.

A source is made of parts: what the first table version holds, and what each later one that a stage names adds. Each
part is an endless stream with a cursor of its own. A stage says how the parts take turns, and how their streams are
cut into sequences. So the position of a run is one integer, the number of batches behind it; and a longer run, other
weights, longer sequences or more data change what comes, never what has been.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from training.order.grid import DocumentEnds, Grid
from training.order.mixture import Turns, shares
from training.order.stream import Stream
from training.settings.data import Packing


@dataclass(frozen=True)
class Part:
    """An increment of a source, by its `number`: `tokens` that are trained on, each of which has a next one.
    `tokens_version` first has them."""

    source: str
    number: int
    tokens_version: int
    tokens: int


@dataclass(frozen=True)
class PlanStage:
    """What holds from global batch `first_batch` on. `weights` pairs sources with shares; empty for all by what is
    left of their epochs."""

    first_batch: int
    tokens_version: int
    weights: tuple[tuple[str, float], ...]
    sequence_length: int
    batch_sequences: int
    micro_sequences: int
    packing: Packing
    document_mask: bool
    window_sequences: int

    @property
    def batch_tokens(self) -> int:
        return self.batch_sequences * self.sequence_length


@dataclass(frozen=True)
class Row:
    """A sequence of a global batch: sequence `sequence` of part `part` in stage `stage`, each by its index in the
    plan."""

    stage: int
    part: int
    sequence: int


@dataclass(frozen=True)
class Reading:
    """`tokens` tokens from `offset` on of row `row` of global batch `batch`."""

    batch: int
    row: int
    offset: int
    tokens: int
    epoch: int


@dataclass(frozen=True)
class Plan:
    """All that decides the order; independent of ranks, of the length of the run, and of how files are cut."""

    parts: tuple[Part, ...]
    stages: tuple[PlanStage, ...]
    shuffle_block: int
    seed: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """The plan of `dataclasses.asdict`, as it comes back from JSON."""
        stages = [
            PlanStage(**{**stage, "weights": tuple((source, weight) for source, weight in stage["weights"])})
            for stage in values["stages"]
        ]
        return cls(
            tuple(Part(**part) for part in values["parts"]), tuple(stages), values["shuffle_block"], values["seed"]
        )

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted({part.source for part in self.parts}))

    def hash(self) -> str:
        """SHA-256, in hex: equal plans give equal batches."""
        # How many sequences a rank computes at once decides nothing.
        values = asdict(replace(self, stages=tuple(replace(stage, micro_sequences=1) for stage in self.stages)))
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def before(self, batch: int) -> Plan:
        """What of the plan decided the batches before `batch`: two plans that are equal here have equal pasts."""
        stages = tuple(stage for stage in self.stages if stage.first_batch < max(1, batch))
        return replace(
            self,
            parts=tuple(part for part in self.parts if part.tokens_version <= stages[-1].tokens_version),
            stages=stages,
        )

    def stage_index(self, batch: int) -> int:
        return max(index for index, stage in enumerate(self.stages) if stage.first_batch <= batch)

    def stage_of(self, batch: int) -> PlanStage:
        return self.stages[self.stage_index(batch)]

    def batch_sequences(self, batch: int) -> int:
        return self.stage_of(batch).batch_sequences

    def tokens_before(self, batch: int) -> int:
        """Tokens in all global batches before `batch`."""
        ends = [*(stage.first_batch for stage in self.stages[1:]), batch]
        return sum(
            max(0, min(batch, end) - stage.first_batch) * stage.batch_tokens
            for stage, end in zip(self.stages, ends, strict=True)
        )

    def rows(self, batch: int, rank: int = 0, ranks: int = 1) -> list[Row]:
        """The sequences of global batch `batch`, or the slice of them that data-parallel rank `rank` of `ranks`
        computes."""
        index = self.stage_index(batch)
        stage = self.stages[index]
        share = stage.batch_sequences // ranks
        first = (batch - stage.first_batch) * stage.batch_sequences + rank * share
        return [Row(index, part, sequence) for part, sequence in self._orders[index].between(first, first + share)]

    def grid(self, stage: int, part: int) -> Grid:
        """How the stream of a part is cut in a stage."""
        return self._orders[stage].grids[part]

    def cursors(self, batch: int) -> tuple[int, ...]:
        """Positions of each part's stream behind the first `batch` batches; 0 for a part that is not there yet."""
        order = self._orders[self.stage_index(batch)]
        counts = order.counts(self._places(self.stage_index(batch), batch))
        return tuple(
            grid.start + count * grid.length if (grid := order.grids.get(part)) else 0
            for part, count in enumerate(counts)
        )

    def readings(self, part: int, start: int, end: int, ends: DocumentEnds, until_batch: int) -> Iterator[Reading]:
        """Each time that stored tokens `[start, end)` of a part are read before batch `until_batch`, epoch by epoch;
        the inverse of `rows`."""
        stream = self._stream(part)
        epochs = -(-self.cursors(until_batch)[part] // stream.length) + 1
        for epoch in range(epochs):
            for first, last in stream.positions(epoch, start, end):
                for index, order in enumerate(self._orders):
                    if part not in order.grids or self.stages[index].first_batch >= until_batch:
                        continue
                    given = order.counts(self._places(index, self._end(index, until_batch)))[part]
                    for sequence, offset, tokens in order.grids[part].readers(first, last, ends):
                        if order.first_sequences[part] <= sequence < given:
                            batch, row = divmod(order.place(part, sequence), self.stages[index].batch_sequences)
                            yield Reading(self.stages[index].first_batch + batch, row, offset, tokens, epoch)

    def _end(self, index: int, until_batch: int) -> int:
        """The batch before which a stage ends."""
        return min(until_batch, self.stages[index + 1].first_batch) if index + 1 < len(self.stages) else until_batch

    def _places(self, index: int, batch: int) -> int:
        """Sequences of a stage before `batch`."""
        return max(0, batch - self.stages[index].first_batch) * self.stages[index].batch_sequences

    def _stream(self, part: int) -> Stream:
        found = self.parts[part]
        return Stream(found.tokens, self.shuffle_block, (self.seed, found.source, found.number))

    @cached_property
    def _orders(self) -> tuple[StageOrder, ...]:
        """The order of each stage, which begins where the one before ends."""
        orders: list[StageOrder] = []
        for index, stage in enumerate(self.stages):
            grids, first_sequences = {}, {}
            last = orders[-1] if orders else None
            counts = last.counts(self._places(index - 1, stage.first_batch)) if last else ()
            for number, part in enumerate(self.parts):
                if part.tokens_version > stage.tokens_version:
                    continue
                form = (stage.sequence_length, stage.packing, stage.window_sequences)
                former = last.grids.get(number) if last else None
                if former is None:
                    grids[number], first_sequences[number] = Grid(self._stream(number), 0, *form), 0
                elif (former.length, former.packing, former.window) == form:
                    grids[number], first_sequences[number] = former, counts[number]
                else:
                    grids[number], first_sequences[number] = former.follow(counts[number], *form), 0
            orders.append(StageOrder(stage, self.parts, grids, first_sequences))
        return tuple(orders)


class StageOrder:
    """How the parts take turns in a stage: sources by weight, and the parts of a source by what is left of their
    epochs, so that all end theirs together."""

    def __init__(
        self, stage: PlanStage, parts: tuple[Part, ...], grids: dict[int, Grid], first_sequences: dict[int, int]
    ) -> None:
        self.grids, self.first_sequences, self._parts = grids, first_sequences, parts
        weights = dict(stage.weights)
        names = sorted(
            {parts[number].source for number in grids if not weights or weights.get(parts[number].source, 0) > 0}
        )
        # Without weights all parts are of one group.
        self._groups = [[n for n in grids if parts[n].source == name] for name in names] if weights else [list(grids)]
        cycle = shares(tuple(weights[name] for name in names)) if weights else (1,)
        self._groups_turns = Turns((0,) * len(cycle), cycle)
        self._parts_turns = [
            Turns(tuple(self._left(n) for n in group), tuple(self._epoch(n) for n in group)) for group in self._groups
        ]

    def counts(self, places: int) -> tuple[int, ...]:
        """Sequences of each part of the plan that its grid has given after the first `places` turns of the stage,
        those before the stage included."""
        counts = [self.first_sequences.get(number, 0) for number in range(len(self._parts))]
        for group, turns, taken in zip(self._groups, self._parts_turns, self._groups_turns.counts(places), strict=True):
            for number, count in zip(group, turns.counts(taken), strict=True):
                counts[number] += count
        return tuple(counts)

    def between(self, first: int, last: int) -> list[tuple[int, int]]:
        """(part, sequence of its grid) at turns `[first, last)` of the stage."""
        groups = (
            self._groups_turns.between(first, last)
            if len(self._groups) > 1
            else [(0, place) for place in range(first, last)]
        )
        bounds: dict[int, tuple[int, int]] = {}
        for group, item in groups:
            bounds[group] = bounds.get(group, (item, item))[0], item
        parts = {group: iter(self._parts_turns[group].between(low, high + 1)) for group, (low, high) in bounds.items()}
        found = ((self._groups[group], next(parts[group])) for group, _ in groups)
        return [(group[series], self.first_sequences[group[series]] + item) for group, (series, item) in found]

    def place(self, part: int, sequence: int) -> int:
        """The turn at which a part gives a sequence of its grid."""
        index, group = next((index, group) for index, group in enumerate(self._groups) if part in group)
        item = self._parts_turns[index].place(group.index(part), sequence - self.first_sequences[part])
        return self._groups_turns.place(index, item)

    def _left(self, part: int) -> int:
        """Sequences left of a part's epoch."""
        grid = self.grids[part]
        behind = grid.start + self.first_sequences[part] * grid.length
        return _nearest(grid.stream.length - behind % grid.stream.length, grid.length)

    def _epoch(self, part: int) -> int:
        return max(1, _nearest(self.grids[part].stream.length, self.grids[part].length))


def _nearest(tokens: int, length: int) -> int:
    return (2 * tokens + length) // (2 * length)
