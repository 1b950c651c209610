"""Which batch a step trains on when ranges of batches are left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from training.order.plan import Part, Plan, PlanStage
from training.order.skips import (
    FILE,
    StepBatches,
    add_range,
    batch_of_step,
    read_skips,
    recorded_skips,
    step_of_batch,
    tokens_of_steps,
)

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: [pair[0], pair[0] + pair[1]]), max_size=6
)


@settings(deadline=None)
@given(RANGES)
def test_steps_train_on_every_batch_that_is_not_left_out_and_on_no_other(ranges: list[list[int]]) -> None:
    left_out = {batch for first, end in ranges for batch in range(first, end)}
    expected = [batch for batch in range(200) if batch not in left_out][:90]
    assert list(StepBatches(range(90), read_skips(ranges))) == expected


@settings(deadline=None)
@given(RANGES, st.integers(0, 60))
def test_a_range_that_begins_at_the_batch_of_a_step_or_later_changes_no_step_before_it(
    ranges: list[list[int]], step: int
) -> None:
    before = read_skips(ranges)
    after = add_range(before, batch_of_step(step, before), batch_of_step(step, before) + 7)
    assert list(StepBatches(range(step), after)) == list(StepBatches(range(step), before))


def test_ranges_that_touch_are_one_and_adding_one_twice_changes_nothing() -> None:
    skips = add_range(add_range((), 10, 20), 20, 25)
    assert skips == ((10, 25),)
    assert add_range(skips, 12, 18) == skips
    assert [batch_of_step(step, skips) for step in (9, 10, 11)] == [9, 25, 26]


@settings(deadline=None)
@given(RANGES, st.integers(0, 120))
def test_the_step_of_a_batch_is_the_inverse(ranges: list[list[int]], batch: int) -> None:
    skips = read_skips(ranges)
    step = step_of_batch(batch, skips)
    assert (
        step is None if any(first <= batch < end for first, end in skips) else batch_of_step(step or 0, skips) == batch
    )


def test_slices_are_taken_by_step() -> None:
    batches = StepBatches(range(2, 10), ((4, 6),))
    assert [list(batches[start::3]) for start in range(3)] == [[2, 7, 10], [3, 8, 11], [6, 9]]


def test_what_a_rollback_added_counts_beside_what_the_checkpoint_knows(tmp_path: Path) -> None:
    state = {"skips": [[5, 8]]}
    assert recorded_skips(tmp_path, state) == ((5, 8),)
    (tmp_path / FILE).write_text(json.dumps({"skips": [[5, 8], [20, 30]]}))
    assert recorded_skips(tmp_path, state) == ((5, 8), (20, 30))
    assert recorded_skips(tmp_path, {}) == ((5, 8), (20, 30))


def test_tokens_of_batches_that_were_left_out_do_not_count() -> None:
    stage = PlanStage(0, 1, (), 8, 4, 1, "chop", False, 256)
    plan = Plan((Part("web", 0, 1, 10_000),), (stage, replace(stage, first_batch=10, batch_sequences=8)), 64, 0)
    skips = ((4, 6), (12, 13))
    assert [tokens_of_steps(plan, steps, skips) for steps in (4, 5, 8, 9, 10, 11)] == [128, 160, 256, 320, 384, 448]
