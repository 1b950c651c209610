"""The order of training data: which sequence of which source is where in which global batch, as a pure function of
the plan.

A source is made of increments: what the first table version holds, and what each later one that a stage names adds.
Where documents have weights, an increment is made of layers. Each layer of an increment is a part, an endless stream
with a cursor of its own. A stage says how the parts take turns, and how their streams are cut into sequences. So the
position of a run is one integer, the number of batches behind it; and a longer run, other weights, longer sequences or
more data change what comes, never what has been.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from itertools import count
from typing import Any

from training.order.grid import DocumentEnds, Grid
from training.order.layers import Documents, DocumentsOf, Layer
from training.order.permutation import round_keys
from training.order.stage_order import Giver, StageOrder
from training.order.stream import Stream
from training.settings.data import Packing

COPY_BLOCKS = 64
"""Blocks that a copy of documents is shuffled in, at the least: it should not be read beside what it is a copy of."""


@dataclass(frozen=True)
class Part:
    """A layer of an increment of a source, by its `number`: `tokens` stored ones that are trained on, each of which
    has a next one. `tokens_version` first has them."""

    source: str
    number: int
    tokens_version: int
    tokens: int
    layer: int = 0
    weighted_tokens: int | None = None
    """How many of them an epoch reads on average; None where each epoch reads all."""

    @property
    def epoch_tokens(self) -> int:
        """Tokens of an epoch, on average."""
        return self.tokens if self.weighted_tokens is None else self.weighted_tokens

    @property
    def is_plain(self) -> bool:
        """Whether it reads every document, and nothing else reads any before it."""
        return self.layer == 0 and self.weighted_tokens is None


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
    """All that decides the order; independent of ranks, of the length of the run, and of how files are cut.

    `documents` gives those of the table that the plan was made for; without it, a plan of weighted documents knows
    which sequence is where, but not what is in it.
    """

    parts: tuple[Part, ...]
    stages: tuple[PlanStage, ...]
    shuffle_block: int
    seed: int
    documents: DocumentsOf | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any], documents: DocumentsOf | None = None) -> Plan:
        """The plan of `to_dict`, as it comes back from JSON."""
        stages = [
            PlanStage(**{**stage, "weights": tuple((source, weight) for source, weight in stage["weights"])})
            for stage in values["stages"]
        ]
        return cls(
            tuple(Part(**part) for part in values["parts"]),
            tuple(stages),
            values["shuffle_block"],
            values["seed"],
            documents,
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as numbers and names, for JSON. Where all documents are read once an epoch, layers are left out."""
        parts = [
            {
                entry.name: getattr(part, entry.name)
                for entry in fields(Part)
                if getattr(part, entry.name) != entry.default
            }
            for part in self.parts
        ]
        stages = [asdict(stage) for stage in self.stages]
        return {"parts": parts, "stages": stages, "shuffle_block": self.shuffle_block, "seed": self.seed}

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted({part.source for part in self.parts}))

    def hash(self) -> str:
        """SHA-256, in hex: equal plans give equal batches."""
        # How many sequences a rank computes at once decides nothing.
        values = replace(self, stages=tuple(replace(stage, micro_sequences=1) for stage in self.stages)).to_dict()
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
        return [
            Row(index, part, sequence) for part, sequence in self._orders[index].turns.between(first, first + share)
        ]

    def grid(self, stage: int, part: int) -> Grid:
        """How the stream of a part is cut in a stage."""
        return self._orders[stage].givers[part].grid

    def cursors(self, batch: int) -> tuple[int, ...]:
        """Positions of each part's stream behind the first `batch` batches; 0 for a part that is not there yet."""
        order = self._orders[self.stage_index(batch)]
        counts = order.counts(self._places(self.stage_index(batch), batch))
        return tuple(
            giver.grid.start + counts[part] * giver.grid.length if (giver := order.givers.get(part)) else 0
            for part in range(len(self.parts))
        )

    def readings(self, part: int, start: int, end: int, ends: DocumentEnds, until_batch: int) -> Iterator[Reading]:
        """Each time that stored tokens `[start, end)` of a part are read before batch `until_batch`, epoch by epoch;
        the inverse of `rows`."""
        order = self._orders[self.stage_index(until_batch)]
        if part not in order.givers:
            return
        stream = self._streams[part]
        given = order.counts(self._places(self.stage_index(until_batch), until_batch))[part]
        reached = order.givers[part].grid.reached(given)
        for epoch in count():
            if stream.start(epoch) >= reached:
                return
            for first, last in stream.positions(epoch, start, end):
                yield from self._readings_of_positions(part, first, last, ends, until_batch, epoch)

    def _readings_of_positions(
        self, part: int, start: int, end: int, ends: DocumentEnds, until_batch: int, epoch: int
    ) -> Iterator[Reading]:
        for index, (stage, order) in enumerate(zip(self.stages, self._orders, strict=True)):
            giver = order.givers.get(part)
            if giver is None or stage.first_batch >= until_batch:
                continue
            given = order.counts(self._places(index, self._end(index, until_batch)))[part]
            for sequence, offset, tokens in giver.grid.readers(start, end, ends):
                if giver.first <= sequence < given:
                    batch, row = divmod(order.turns.place(part, sequence), stage.batch_sequences)
                    yield Reading(stage.first_batch + batch, row, offset, tokens, epoch)

    def _end(self, index: int, until_batch: int) -> int:
        """The batch before which a stage ends."""
        return min(until_batch, self.stages[index + 1].first_batch) if index + 1 < len(self.stages) else until_batch

    def _places(self, index: int, batch: int) -> int:
        """Sequences of a stage before `batch`."""
        return max(0, batch - self.stages[index].first_batch) * self.stages[index].batch_sequences

    @cached_property
    def _streams(self) -> tuple[Stream, ...]:
        return tuple(self._stream(part) for part in self.parts)

    def _stream(self, part: Part) -> Stream:
        key = (self.seed, part.source, part.number, *([f"layer {part.layer}"] if part.layer else []))
        block = self.shuffle_block
        if part.layer:
            block = min(block, -(-part.epoch_tokens // COPY_BLOCKS))
        layer = None
        if part.weighted_tokens is not None:
            read = partial(self._documents_of, part.source, part.number)
            layer = Layer(read, part.layer, part.tokens, round_keys(*key, "documents")[0])
        return Stream(part.epoch_tokens, block, key, layer, part.layer > 0)

    def _documents_of(self, source: str, increment: int) -> Documents:
        if self.documents is None:
            raise ValueError("a plan of weighted documents needs those of its table to say what it reads")
        return self.documents(source, increment)

    @cached_property
    def _orders(self) -> tuple[StageOrder, ...]:
        """The order of each stage, which begins where the one before ends."""
        orders: list[StageOrder] = []
        for index, stage in enumerate(self.stages):
            last = orders[-1] if orders else None
            counts = last.counts(self._places(index - 1, stage.first_batch)) if last else {}
            givers = [
                self._giver(number, stage, last.givers.get(number) if last else None, counts.get(number, 0))
                for number, part in enumerate(self.parts)
                if part.tokens_version <= stage.tokens_version
            ]
            orders.append(StageOrder.of(dict(stage.weights), givers))
        return tuple(orders)

    def _giver(self, number: int, stage: PlanStage, former: Giver | None, given: int) -> Giver:
        """A part in a stage, where its grid had given some sequences before."""
        part = self.parts[number]
        window = stage.window_sequences
        if not part.is_plain:
            # A layer may be much smaller than its increment; a window of it should not hold many epochs.
            window = max(1, min(window, part.epoch_tokens // stage.sequence_length))
        form = (stage.sequence_length, stage.packing, window)
        if former is None:
            return Giver(number, part.source, part.number, Grid(self._streams[number], 0, *form), 0)
        if (former.grid.length, former.grid.packing, former.grid.window) == form:
            return replace(former, first=given)
        return replace(former, grid=former.grid.follow(given, *form), first=0)
