"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math

from training.config import ScheduleConfig


def learning_rate(step: int, *, peak: float, schedule: ScheduleConfig, steps: int) -> float:
    """Learning rate of `step` (the first is 0) in a run of `steps`: linear warm-up, a cosine down to `final_ratio` of the peak, then flat.

    Loshchilov and Hutter 2017 (arXiv 1608.03983, equation 5) with one period, after a warm-up.
    """
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    end = schedule.end_step if schedule.end_step is not None else steps
    progress = min(1.0, (step - schedule.warmup_steps) / max(1, end - schedule.warmup_steps))
    floor = peak * schedule.final_ratio
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * progress))
