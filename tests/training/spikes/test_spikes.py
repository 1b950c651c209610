"""What is called a spike, and which step of the ladder it leads to."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.order.plan import Plan, PlanStage
from training.settings.watching import SpikeConfig
from training.spikes.spikes import (
    SpikeState,
    Verdict,
    after_rollback,
    first_alike,
    judge,
    level_of,
    range_to_skip,
    rate_scale,
)

SMALL = SpikeConfig(window=16, least_steps=8, patience=3, patience_steps=10)


def run(
    losses: list[float], config: SpikeConfig = SMALL, norms: list[float] | None = None, state: SpikeState | None = None
) -> tuple[list[Verdict], SpikeState]:
    state, verdicts = state or SpikeState(), []
    for step, (loss, norm) in enumerate(zip(losses, norms or [1.0] * len(losses), strict=True)):
        verdict, state = judge(state, config, step=step, batch=step, stage=0, loss=loss, norm=norm)
        verdicts.append(verdict)
    return verdicts, state


def actions(losses: list[float], config: SpikeConfig = SMALL, norms: list[float] | None = None) -> str:
    """First letters: none, skip, roll_back, stop becomes !, record becomes ?."""
    letters = {"none": ".", "skip": "s", "roll_back": "R", "stop": "!", "record": "?"}
    return "".join(letters[verdict.action] for verdict in run(losses, config, norms)[0])


FLAT = [2.0, 2.01, 1.99, 2.02, 1.98, 2.0, 2.01, 1.99]


@pytest.mark.parametrize(
    ("losses", "norms", "expected"),
    [
        ([*FLAT, 2.05, 2.0], None, ".........."),
        ([*FLAT, 2.9, 2.0], None, "........s."),
        ([*FLAT, 2.9, 2.0, 2.9, 2.9, 2.0], None, "........s.sR."),
        ([*FLAT[:4], 9.0, *FLAT[:4]], None, "........."),  # too few steps to know
        ([2.0, math.nan, *FLAT], None, ".s........"),
        ([*FLAT, 2.0], [1.0] * 8 + [math.inf], "........s"),
        (
            [*FLAT, 2.0, 2.0, 2.0, 2.0],
            [1.0] * 8 + [40.0] * 4,
            "........sss?",
        ),  # a gradient that stays large is taken as it is
        ([*FLAT, 0.1], None, "........."),  # lower is never a spike
    ],
)
def test_the_ladder(losses: list[float], norms: list[float] | None, expected: str) -> None:
    assert actions(losses, SMALL, norms) == expected


def test_spikes_far_apart_do_not_count_together() -> None:
    assert "R" not in actions([*FLAT, 2.9, *FLAT, *FLAT, 2.9, *FLAT, *FLAT, 2.9])


def test_record_only_writes_down_but_an_update_that_is_not_finite_is_left_out() -> None:
    assert actions([*FLAT, 2.9, 2.9, 2.9, math.nan], SMALL.model_copy(update={"action": "record"})) == "........???s"


def test_after_the_last_rollback_that_is_allowed_the_run_stops() -> None:
    state = run(FLAT)[1]
    state = after_rollback(after_rollback(state, state, SMALL, 0), state, SMALL, 0)
    config = SMALL.model_copy(update={"max_rollbacks": 2})
    for step in range(3):
        verdict, state = judge(state, config, step=8 + step, batch=8 + step, stage=0, loss=2.9, norm=1.0)
    assert verdict.action == "stop"


def test_a_level_that_has_shifted_for_good_is_accepted_in_time() -> None:
    skip = SMALL.model_copy(update={"action": "skip"})
    found = actions(FLAT * 2 + [3.0, 3.01, 2.99] * 10, skip)
    assert found.startswith("." * 16 + "s")
    assert found.endswith("." * 15)


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(math.nan), st.just(math.inf), st.floats(1.9, 2.1)), max_size=60))
def test_values_that_are_not_finite_never_enter_the_window(losses: list[float]) -> None:
    verdicts, state = run(losses)
    assert [loss for loss in losses if math.isfinite(loss)][-16:] == list(state.losses)
    assert [verdict.kind == "not_finite" for verdict in verdicts] == [not math.isfinite(loss) for loss in losses]


@settings(deadline=None)
@given(st.lists(st.floats(1.0, 3.0), min_size=16, max_size=16), st.lists(st.floats(1e3, 1e6), max_size=7), st.randoms())
def test_less_than_half_of_the_window_cannot_move_the_level_out_of_the_others(
    good: list[float], bad: list[float], order: object
) -> None:
    window = good[: 16 - len(bad)] + bad
    order.shuffle(window)  # type: ignore[attr-defined]
    level = level_of(tuple(window), SMALL)
    assert level is not None and 1.0 <= level.median <= 3.0 and level.spread < 3.0


def test_a_new_stage_starts_with_an_empty_window() -> None:
    state = run(FLAT)[1]
    verdict, state = judge(state, SMALL, step=8, batch=8, stage=1, loss=9.0, norm=1.0)
    assert (verdict.action, state.losses) == ("none", (9.0,))


def test_the_state_comes_back_from_json_and_goes_on_as_if_nothing_had_happened() -> None:
    losses = [*FLAT, 2.9, 2.0, 2.9, 2.0, 2.0]
    _, state = run(losses)
    assert SpikeState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert len(json.dumps(run([2.0 + step / 7 for step in range(200)], SpikeConfig())[1].to_json())) < 10_000


def test_the_range_covers_the_spikes_and_nothing_that_the_checkpoint_has_behind_it() -> None:
    state = SpikeState(spikes=((40, 45), (42, 47)))
    config = SMALL.model_copy(update={"skip_before": 10, "skip_after": 5})
    assert range_to_skip(state, config, first_allowed=20) == (35, 53)
    assert range_to_skip(state, config, first_allowed=41) == (41, 53)


def test_the_rate_is_lowered_for_a_while_after_a_rollback() -> None:
    config = SMALL.model_copy(update={"rate_factor": 0.5, "rate_steps": 4})
    state = after_rollback(SpikeState(), SpikeState(), config, 20)
    assert [rate_scale(state, config, step) for step in (20, 23, 24)] == [0.5, 0.5, 1.0]
    assert state.rollbacks == 1


def test_a_batch_that_grows_is_no_new_level_but_another_mixture_is() -> None:
    first = PlanStage(0, 1, (), 8, 4, 1, "chop", False, 256)
    grown = [replace(first, first_batch=10 * step, batch_sequences=4 + 4 * step) for step in range(3)]
    longer = replace(grown[-1], first_batch=30, sequence_length=16)
    plan = Plan((), (*grown, longer, replace(longer, first_batch=40, batch_sequences=2)), 64, 0)
    assert [first_alike(plan, batch) for batch in (0, 15, 29, 30, 45)] == [0, 0, 0, 3, 3]
