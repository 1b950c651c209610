"""Batches that a run leaves out, and which batch a step is then: pure functions of ranges `[first, end)` of batches."""

from __future__ import annotations

from collections.abc import Iterator

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
    """The batch that step `step` trains on (the first of both is 0): the one that has `step` batches before it which are not left out."""
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


def batches_from(step: int, steps: int, skips: Skips) -> Iterator[int]:
    """The batches of steps `[step, steps)`."""
    return (batch_of_step(number, skips) for number in range(step, steps))


def read_skips(ranges: list[list[int]]) -> Skips:
    """Skips as JSON gives them back."""
    skips: Skips = ()
    for first, end in ranges:
        skips = add_range(skips, first, end)
    return skips
