"""Which batch a step trains on when ranges of batches are left out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from training.skips import add_range, batch_of_step, batches_from, read_skips

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: [pair[0], pair[0] + pair[1]]), max_size=6)


@settings(deadline=None)
@given(RANGES)
def test_steps_train_on_every_batch_that_is_not_left_out_and_on_no_other(ranges: list[list[int]]) -> None:
    left_out = {batch for first, end in ranges for batch in range(first, end)}
    expected = [batch for batch in range(200) if batch not in left_out][:90]
    assert list(batches_from(0, 90, read_skips(ranges))) == expected


@settings(deadline=None)
@given(RANGES, st.integers(0, 60))
def test_a_range_that_begins_at_the_batch_of_a_step_or_later_changes_no_step_before_it(ranges: list[list[int]], step: int) -> None:
    before = read_skips(ranges)
    after = add_range(before, batch_of_step(step, before), batch_of_step(step, before) + 7)
    assert list(batches_from(0, step, after)) == list(batches_from(0, step, before))


def test_ranges_that_touch_are_one_and_adding_one_twice_changes_nothing() -> None:
    skips = add_range(add_range((), 10, 20), 20, 25)
    assert skips == ((10, 25),)
    assert add_range(skips, 12, 18) == skips
    assert [batch_of_step(step, skips) for step in (9, 10, 11)] == [9, 25, 26]
