"""The learning rate: its forms, its warm-ups, and going on with more tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as draw

from schemas.plumbing.configuration import UsageError
from training.config import ScheduleConfig, load_recipe
from training.lr_schedule import learning_rate


def rates(steps: int, count: int, **schedule: Any) -> list[float]:
    return [learning_rate(step, peak=1.0, schedule=ScheduleConfig(**schedule), steps=steps) for step in range(count)]


def test_it_warms_up_in_equal_steps_to_the_peak() -> None:
    assert rates(100, 5, warmup_steps=4) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_it_warms_up_over_tokens_however_many_a_step_has() -> None:
    schedule = ScheduleConfig(kind="wsd", warmup_tokens=1000)
    found = [
        learning_rate(step, peak=2.0, schedule=schedule, steps=100, tokens=tokens)
        for step, tokens in enumerate([100, 300, 700, 1500])
    ]
    assert found == pytest.approx([0.2, 0.6, 1.4, 2.0])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "cosine"}, [1.0, 0.868, 0.55, 0.232, 0.1, 0.1]),
        ({"kind": "linear"}, [1.0, 0.775, 0.55, 0.325, 0.1, 0.1]),
        ({"kind": "wsd", "decay_steps": 4}, [1.0, 1.0, 1.0, 0.55, 0.1, 0.1]),
        ({"kind": "wsd", "decay_steps": 4, "decay": "sqrt"}, [1.0, 1.0, 1.0, 0.364, 0.1, 0.1]),
        ({"kind": "wsd", "decay_steps": 8, "decay": "cosine", "final_ratio": 0.0}, [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]),
    ],
)
def test_it_falls_in_the_form_that_is_asked_for_and_stays_at_the_floor(
    schedule: dict[str, Any], expected: list[float]
) -> None:
    found = rates(99, 11, warmup_steps=0, end_step=8, **schedule)
    assert found[::2] == pytest.approx([*expected[:5], expected[5]], abs=1e-3)
    assert found == sorted(found, reverse=True)


def test_a_wsd_schedule_falls_in_its_last_tenth() -> None:
    found = rates(100, 101, warmup_steps=5, kind="wsd")
    assert [step for step, rate in enumerate(found) if rate < 1.0] == [0, 1, 2, 3, *range(91, 101)]
    assert found[100] == pytest.approx(0.1)


def test_a_run_that_goes_on_with_more_tokens_keeps_its_past_and_warms_up_again() -> None:
    first = rates(20, 20, warmup_steps=4)
    found = rates(40, 41, warmup_steps=4, rewarm_step=20)
    assert found[:20] == first
    assert found[20:24] == pytest.approx([0.325, 0.55, 0.775, 1.0])
    assert found[24:] == sorted(found[24:], reverse=True)
    assert found[40] == pytest.approx(0.1)


def test_a_scale_lowers_every_rate() -> None:
    schedule = ScheduleConfig(warmup_steps=3)
    whole, half = (
        [learning_rate(step, peak=1.0, schedule=schedule, steps=9, scale=scale) for step in range(9)]
        for scale in (1.0, 0.5)
    )
    assert half == [rate / 2 for rate in whole]


def test_a_run_shorter_than_its_warmup_never_divides_by_zero() -> None:
    assert rates(5, 12, warmup_steps=10)[-1] == pytest.approx(0.1)


@given(
    kind=draw.sampled_from(["cosine", "linear", "wsd"]),
    warmup=draw.integers(0, 30),
    end=draw.integers(1, 60),
    floor=draw.floats(0, 1),
    rewarm=draw.none() | draw.integers(1, 59),
    step=draw.integers(0, 100),
    tokens=draw.integers(1, 10**6),
)
def test_every_rate_is_between_zero_and_the_peak(
    kind: str, warmup: int, end: int, floor: float, rewarm: int | None, step: int, tokens: int
) -> None:
    rewarm = rewarm if rewarm is None or rewarm < end else None
    schedule = ScheduleConfig(
        kind=kind, warmup_steps=warmup, end_step=end, final_ratio=floor, rewarm_step=rewarm, warmup_tokens=500_000
    )  # type: ignore[arg-type]
    assert 0 <= learning_rate(step, peak=1.0, schedule=schedule, steps=end, tokens=tokens) <= 1 + 1e-12


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "schedule.decay_steps=5",
            "schedule: decay_steps: only kind wsd has a fall of its own; say with end_step where cosine ends",
        ),
        ("schedule={rewarm_step: 9, end_step: 9}", "schedule: end_step: 9 is not after rewarm_step 9"),
        ("model={experts: 2, experts_per_token: 3}", "model: experts_per_token: 3 of 2 experts"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("tiny_cpu", (setting,))
