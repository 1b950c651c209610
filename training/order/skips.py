"""Batches that a run leaves out, and which batch a step is then: pure functions of ranges `[first, end)` of batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from training.order.plan import Plan

FILE = "skips.json"
"""What a rollback leaves behind in the run's folder: the checkpoint that it went back to does not know of it."""

type Skips = tuple[tuple[int, int], ...]
"""Ranges of batches in ascending order that neither overlap nor touch."""


def add_range(skips: Skips, first: int, end: int) -> Skips:
    """`skips` with batches `[first, end)` left out as well; adding a range twice changes nothing."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted([*skips, (first, end)]):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)


def batch_of_step(step: int, skips: Skips) -> int:
    """The batch that step `step` trains on (the first of both is 0): the one that has `step` batches before it which
    are not left out."""
    batch = step
    for first, end in skips:
        if batch < first:
            break
        batch += end - first
    return batch


def step_of_batch(batch: int, skips: Skips) -> int | None:
    """The step that trains on a batch, None where it is left out; the inverse of `batch_of_step`."""
    behind = 0
    for first, end in skips:
        if first <= batch < end:
            return None
        behind += end - first if end <= batch else 0
    return batch - behind


def recorded_skips(out: Path, state: dict[str, Any]) -> Skips:
    """The batches that a run leaves out: those that a checkpoint knows of (`Commit.state`), and those that a
    rollback to it has added."""
    path = out / FILE
    added = json.loads(path.read_text(encoding="utf-8"))["skips"] if path.is_file() else []
    return read_skips([*state.get("skips", []), *added])


def read_skips(ranges: list[list[int]]) -> Skips:
    """Skips as JSON gives them back."""
    skips: Skips = ()
    for first, end in ranges:
        skips = add_range(skips, first, end)
    return skips


def tokens_of_steps(plan: Plan, steps: int, skips: Skips) -> int:
    """Tokens of the first `steps` steps, those of batches that were left out not among them."""
    batches = batch_of_step(steps, skips)
    left_out = sum(
        plan.tokens_before(min(end, batches)) - plan.tokens_before(min(first, batches)) for first, end in skips
    )
    return plan.tokens_before(batches) - left_out


@dataclass(frozen=True)
class StepBatches(Sequence[int]):
    """The batches of a range of steps, computed as they are asked for; slices are taken by step."""

    steps: range
    skips: Skips

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> StepBatches: ...
    def __getitem__(self, place: int | slice) -> int | StepBatches:
        if isinstance(place, slice):
            return StepBatches(self.steps[place], self.skips)
        return batch_of_step(self.steps[place], self.skips)
