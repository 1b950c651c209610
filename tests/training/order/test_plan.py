"""The order of training data: nothing repeated or skipped whatever the stages, the way back, and positions far out."""

import json
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from training.order.plan import Part, Plan, PlanStage

PARTS = (Part("books", 0, 3, 700), Part("web", 0, 3, 2000), Part("web", 1, 5, 900))
FIRST = PlanStage(
    first_batch=0,
    tokens_version=3,
    weights=(),
    sequence_length=16,
    batch_sequences=4,
    micro_sequences=1,
    packing="chop",
    document_mask=False,
    window_sequences=5,
)
BATCHES = 60


def document_ends(lengths: tuple[int, ...]) -> Callable[[int, int], list[int]]:
    """Documents of these lengths, again and again."""
    ends = list(accumulate(lengths * 100))

    def inside(start: int, end: int) -> list[int]:
        return [bound - start for bound in ends[bisect_right(ends, start) : bisect_right(ends, end)]]

    return inside


ENDS = document_ends((7, 30, 3, 19, 11))


def stage_changes() -> st.SearchStrategy[list[PlanStage]]:
    one = st.builds(
        PlanStage,
        first_batch=st.integers(1, BATCHES),
        tokens_version=st.sampled_from([3, 5]),
        weights=st.sampled_from(
            [(), (("web", 1.0),), (("books", 0.25), ("web", 0.75)), (("books", 3.0), ("web", 1.0))]
        ),
        sequence_length=st.sampled_from([8, 16, 24]),
        batch_sequences=st.sampled_from([2, 4, 6]),
        micro_sequences=st.just(1),
        packing=st.sampled_from(["chop", "best_fit"]),
        document_mask=st.just(False),
        window_sequences=st.just(5),
    )
    return st.lists(one, max_size=4, unique_by=lambda stage: stage.first_batch).map(in_order)


def in_order(stages: list[PlanStage]) -> list[PlanStage]:
    versions = sorted(stage.tokens_version for stage in stages)
    return [
        replace(stage, tokens_version=version)
        for stage, version in zip(sorted(stages, key=lambda stage: stage.first_batch), versions, strict=True)
    ]


def plans() -> st.SearchStrategy[Plan]:
    return st.builds(
        lambda later, first, block: Plan(PARTS, (first, *later), block, 11),
        stage_changes(),
        st.sampled_from([FIRST, replace(FIRST, packing="best_fit")]),
        st.sampled_from([64, 300]),
    )


def positions_read(plan: Plan, batches: int) -> dict[int, list[int]]:
    read: dict[int, list[int]] = {part: [] for part in range(len(plan.parts))}
    for batch in range(batches):
        for row in plan.rows(batch):
            spans = plan.grid(row.stage, row.part).positions(row.sequence, row.sequence + 1, ENDS)
            taken = [position for start, end in spans for position in range(start, end)]
            assert len(taken) == plan.stages[row.stage].sequence_length
            read[row.part] += taken
    return read


@settings(max_examples=60)
@given(plans())
def test_no_token_is_repeated_or_skipped_whatever_changes_at_a_step(plan: Plan) -> None:
    cursors = plan.cursors(BATCHES)
    widest = 5 * 24 + 24
    for part, read in positions_read(plan, BATCHES).items():
        # A window is read in an order of its own; outside of one, what is behind the cursor has been read and nothing
        # else.
        assert len(read) == len(set(read)) == cursors[part]
        assert set(read) >= set(range(cursors[part] - widest))
        assert max(read, default=0) < cursors[part] + widest


@settings(max_examples=40)
@given(plans(), st.data())
def test_from_stored_tokens_back_to_every_batch_that_read_them(plan: Plan, data: st.DataObject) -> None:
    expected: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for batch in range(BATCHES):
        for place, row in enumerate(plan.rows(batch)):
            offset = 0
            for start, end in plan.grid(row.stage, row.part).stored(row.sequence, row.sequence + 1, ENDS):
                for token in range(start, end):
                    expected.setdefault((row.part, token), []).append((batch, place, offset + token - start))
                offset += end - start
    part = data.draw(st.integers(0, 2))
    start = data.draw(st.integers(0, PARTS[part].tokens - 1))
    end = data.draw(st.integers(start, min(start + 90, PARTS[part].tokens)))
    found = plan.readings(part, start, end, ENDS, BATCHES)
    read = sorted(
        (reading.batch, reading.row, reading.offset + place) for reading in found for place in range(reading.tokens)
    )
    assert read == sorted(place for token in range(start, end) for place in expected.get((part, token), []))


@given(plans(), st.integers(0, BATCHES), st.sampled_from([1, 2]))
def test_slices_of_ranks_join_to_the_batch(plan: Plan, batch: int, ranks: int) -> None:
    assert [row for rank in range(ranks) for row in plan.rows(batch, rank, ranks)] == plan.rows(batch)


@given(plans(), st.integers(1, BATCHES))
def test_a_stage_changes_what_comes_and_not_what_has_been(plan: Plan, batch: int) -> None:
    past = plan.before(batch)
    assert [past.rows(index) for index in range(batch)] == [plan.rows(index) for index in range(batch)]
    assert past.cursors(batch) == plan.cursors(batch)[: len(past.parts)]
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@given(plans(), st.integers(0, BATCHES))
def test_tokens_are_counted_through_stages(plan: Plan, batch: int) -> None:
    assert (
        plan.tokens_before(batch)
        == sum(plan.stage_of(index).batch_tokens for index in range(batch))
        == sum(plan.cursors(batch))
    )


def test_an_epoch_without_weights_ends_in_all_sources_together() -> None:
    plan = Plan(PARTS[:2], (FIRST,), 300, 0)
    # 700 and 2000 tokens are 43.75 and 125 sequences, 169 in all; 42 batches of 4 are 168.
    assert plan.cursors(42) == (44 * 16, 124 * 16)


def test_what_is_appended_ends_its_first_epoch_with_what_was_there() -> None:
    joined = replace(FIRST, first_batch=20, tokens_version=5)
    plan = Plan(PARTS, (FIRST, joined), 300, 0)
    assert plan.cursors(20) == (21 * 16, 59 * 16, 0)
    # 23, 66 and 56 sequences are left of the epochs.
    assert plan.cursors(20 + 145 // 4) == (21 * 16 + 23 * 16, 59 * 16 + 65 * 16, 56 * 16)


def test_weights_hold_from_their_step_on() -> None:
    heavy = replace(FIRST, first_batch=10, weights=(("books", 3.0), ("web", 1.0)))
    plan = Plan(PARTS[:2], (FIRST, heavy), 300, 0)
    before, after = plan.cursors(10), plan.cursors(20)
    assert [(later - earlier) // 16 for earlier, later in zip(before, after, strict=True)] == [30, 10]


def test_micro_batches_do_not_change_the_hash_and_a_seed_does() -> None:
    plan = Plan(PARTS, (FIRST,), 300, 0)
    assert plan.hash() == replace(plan, stages=(replace(FIRST, micro_sequences=2),)).hash()
    assert plan.hash() != replace(plan, seed=1).hash()


def test_a_plan_of_ten_trillion_tokens_is_read_in_its_middle_without_an_index() -> None:
    parts = tuple(Part(f"source {number:02}", 0, 7, 5 * 10**11 + number) for number in range(20))
    weights = tuple((part.source, 1.0 + number / 7) for number, part in enumerate(parts))
    stages = (
        PlanStage(0, 7, (), 4096, 1024, 2, "chop", False, 256),
        PlanStage(100_000, 7, weights, 8192, 2048, 2, "best_fit", True, 256),
    )
    plan = Plan(parts, stages, 1 << 20, 0)
    assert len(json.dumps(plan.to_dict())) < 10_000
    batch = 100_000 + (10**12 - plan.tokens_before(100_000)) // stages[1].batch_tokens
    rows = plan.rows(batch)
    assert len(rows) == 2048
    assert sum(plan.cursors(batch)) == plan.tokens_before(batch)
