"""The learning rate as a pure function of the step and of the tokens trained on."""

from __future__ import annotations

import math

from training.config import ScheduleConfig

WSD_DECAY = 0.1
"""Share of a `wsd` schedule that is its fall, where the configuration says nothing (MiniCPM, arXiv 2404.06395,
section 4)."""


def learning_rate(
    step: int, *, peak: float, schedule: ScheduleConfig, steps: int, tokens: int = 0, scale: float = 1.0
) -> float:
    """Learning rate of `step` (the first is 0) in a run of `steps`.

    `tokens` are those trained on when the step is done; only `warmup_tokens` asks for them. `scale` multiplies the
    rate, for a while after a spike.
    """
    again = schedule.rewarm_step
    if again is None or step < again:
        rate = _once(step, tokens, schedule, _end(schedule, steps) if again is None else again, 0.0)
    else:
        # The tokens of the first warm-up are long behind.
        by_steps = schedule.model_copy(update={"warmup_tokens": None})
        rate = _once(step - again, tokens, by_steps, max(1, _end(schedule, steps) - again), schedule.final_ratio)
    return peak * rate * scale


def _end(schedule: ScheduleConfig, steps: int) -> int:
    return schedule.end_step if schedule.end_step is not None else steps


def _once(step: int, tokens: int, schedule: ScheduleConfig, end: int, start: float) -> float:
    """Share of the peak: from `start` up to one, down to `final_ratio` at `end`, then flat."""
    if schedule.warmup_tokens is not None:
        warm, begin = min(1.0, tokens / schedule.warmup_tokens), 0
    else:
        warm, begin = min(1.0, (step + 1) / max(1, schedule.warmup_steps)), schedule.warmup_steps
    if schedule.kind == "wsd":
        length = schedule.decay_steps if schedule.decay_steps is not None else math.ceil(WSD_DECAY * end)
        begin, form = max(begin, end - length), schedule.decay
    else:
        form = schedule.kind
    passed = min(1.0, max(0.0, (step - begin) / max(1, end - begin)))
    down = schedule.final_ratio + (1.0 - schedule.final_ratio) * _left(form, passed)
    return start + (down - start) * warm


def _left(form: str, passed: float) -> float:
    """What is left of a fall from 1 to 0 when the share `passed` of its steps is behind.

    Half a period of a cosine (arXiv 1608.03983, equation 5), a straight line, or 1 - sqrt(x) (arXiv 2405.18392,
    section 3).
    """
    if form == "cosine":
        return 0.5 * (1 + math.cos(math.pi * passed))
    return 1 - math.sqrt(passed) if form == "sqrt" else 1 - passed
