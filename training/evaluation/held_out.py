"""The tokens that are kept back, as batches: the end of each source's first part, from the first held-out token on,
in sequences laid end to end.

A sequence is known by its number among all held-out sequences, so what is evaluated does not depend on ranks, nor on
how many are computed at once.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from training.order.plan import Plan
from training.reading.batch import Batch, hide_withdrawn
from training.reading.delta_tokens import PartReader, TokenTable
from training.reading.loader import Objective


@dataclass(frozen=True)
class HeldOutStretch:
    """Stored tokens `[start, end)` of a part, none of which was an input in training; `source` indexes
    `Plan.sources`."""

    part: int
    source: int
    start: int
    end: int

    def sequences(self, length: int) -> int:
        """Sequences that hold all targets, the last one filled up."""
        return -(-(self.end - self.start - 1) // length)


def held_out_stretches(plan: Plan, table: TokenTable, most_tokens: int) -> tuple[HeldOutStretch, ...]:
    """What is held out of each source, at most `most_tokens` targets of each; none where the plan keeps nothing
    back."""
    found = []
    for number, part in enumerate(plan.parts):
        if part.layer:
            continue
        end = min(table.part_tokens(part.source, part.number), part.tokens + most_tokens + 1)
        # The last stored token is nobody's input, so that one alone is not held out.
        if end - part.tokens > 1:
            found.append(HeldOutStretch(number, plan.sources.index(part.source), part.tokens, end))
    return tuple(found)


class HeldOutReader:
    """One data-parallel rank's batches of held-out sequences of `length` tokens, shaped [micro_batches,
    micro_sequences] like those of training, as `objective` is measured on them, without what is withdrawn."""

    def __init__(
        self,
        plan: Plan,
        table: TokenTable,
        stretches: tuple[HeldOutStretch, ...],
        *,
        length: int,
        document_mask: bool,
        rank: int,
        ranks: int,
        micro_batches: int,
        micro_sequences: int,
        objective: Objective = lambda batch: batch,
    ) -> None:
        self._plan, self._stretches, self._length, self._document_mask = plan, stretches, length, document_mask
        self._rank, self._share, self._shape = rank, micro_batches * micro_sequences, (micro_batches, micro_sequences)
        self._rows = self._share * ranks
        self._ends = list(accumulate(stretch.sequences(length) for stretch in stretches))
        self._end_of_document, self._objective = table.tokenizer.end_of_document_id, objective
        self._any_withdrawn = table.withdrawn.count > 0
        # What was withdrawn because another copy stands for it is not held out where the plan comes to read that one.
        self._increments = frozenset(part.number for part in plan.parts)
        parts = {stretch.part: plan.parts[stretch.part] for stretch in stretches}
        self._parts = {number: PartReader(table, part.source, part.number) for number, part in parts.items()}

    @property
    def batches(self) -> int:
        """Global batches that hold all held-out sequences, the last one filled up with sequences of which nothing
        counts."""
        return -(-self._ends[-1] // self._rows) if self._ends else 0

    def read(self, index: int) -> Batch:
        """This rank's slice of global batch `index`. The batch's own `index` is 0: an objective's choices go by the
        number of the sequence."""
        return hide_withdrawn(self._objective(self._read_stored(index)), self._end_of_document)

    def _read_stored(self, index: int) -> Batch:
        first = index * self._rows + self._rank * self._share
        tokens = np.full((self._share, self._length), self._end_of_document, np.int64)
        targets, counted, sources = tokens.copy(), np.zeros(tokens.shape, bool), np.zeros(self._share, np.int64)
        withdrawn = np.zeros((2, *tokens.shape), bool)
        for place, row in enumerate(range(first, min(first + self._share, self._ends[-1]))):
            number = bisect_right(self._ends, row)
            stretch = self._stretches[number]
            start = stretch.start + (row - (self._ends[number - 1] if number else 0)) * self._length
            end = min(start + self._length + 1, stretch.end)
            stored = self._parts[stretch.part].read(start, end)
            size = len(stored) - 1
            if self._any_withdrawn:
                out = self._parts[stretch.part].withdrawn(start, end, self._increments)
                withdrawn[:, place, :size] = out[:-1], out[1:]
            tokens[place, :size], targets[place, :size] = stored[:-1], stored[1:]
            counted[place, :size], sources[place] = True, stretch.source
        documents = None
        if self._document_mask:
            # The first token after a document's last one is of another document.
            ended = tokens == self._end_of_document
            counted &= ~ended
            documents = np.concatenate(
                [np.zeros((self._share, 1), np.int32), np.cumsum(ended[:, :-1], axis=1, dtype=np.int32)], axis=1
            )
        cut = (*self._shape, self._length)
        return Batch(
            index=0,
            first_row=first,
            tokens=tokens.reshape(cut),
            targets=targets.reshape(cut),
            counted=counted.reshape(cut),
            documents=documents.reshape(cut) if documents is not None else None,
            sources=sources.reshape(self._shape),
            hash=0,
            withdrawn=withdrawn.reshape(2, *cut) if withdrawn.any() else None,
        )
