from __future__ import annotations

import pytest

from training.config import ScheduleConfig
from training.lr_schedule import learning_rate


def rates(schedule: ScheduleConfig, steps: int, count: int) -> list[float]:
    return [learning_rate(step, peak=1.0, schedule=schedule, steps=steps) for step in range(count)]


def test_it_warms_up_in_equal_steps_to_the_peak() -> None:
    assert rates(ScheduleConfig(warmup_steps=4), 100, 5) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_it_falls_along_a_cosine_and_stays_at_the_floor() -> None:
    schedule = ScheduleConfig(warmup_steps=0, end_step=10)
    found = rates(schedule, 99, 14)
    assert found[0] == 1.0
    assert found[5] == pytest.approx(0.55)
    assert found[10:] == pytest.approx([0.1] * 4)
    assert found == sorted(found, reverse=True)


def test_a_run_shorter_than_its_warmup_never_divides_by_zero() -> None:
    assert rates(ScheduleConfig(warmup_steps=10), 5, 12)[-1] == pytest.approx(0.1)
