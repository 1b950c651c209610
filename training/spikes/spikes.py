"""What a spike is, and which step of the ladder it leads to: pure functions of numbers that all ranks agree on, so
all ranks decide alike.

The window holds finite values only, so one NaN does not blind it; a rejected value enters it all the same, so that
the level of a loss that has shifted for good becomes the new median in time. Median and median absolute deviation
move little while less than half of the window is bad.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Literal

from training.order.plan import Plan, PlanStage
from training.settings.watching import SpikeConfig

NORMAL_CONSISTENCY = 1.4826
"""Turns a median absolute deviation into the standard deviation of a normal distribution (Rousseeuw and Croux 1993,
JASA 88(424), section 1)."""

type Action = Literal["none", "record", "skip", "roll_back", "stop"]


@dataclass(frozen=True)
class Level:
    """What is usual: the median of a window and its spread; None where the window is not full enough."""

    median: float
    spread: float

    def deviations(self, value: float) -> float:
        return (value - self.median) / self.spread if math.isfinite(value) else math.inf


@dataclass(frozen=True)
class SpikeState:
    """What is remembered from step to step, and saved with every checkpoint. All is of the run's past, none of its
    settings."""

    stage: int = 0
    """The stage of the data plan in which the windows were filled (`first_alike`); a new mixture is a new level, and
    they start empty."""
    losses: tuple[float, ...] = ()
    norms: tuple[float, ...] = ()
    spikes: tuple[tuple[int, int], ...] = ()
    """(step, batch) of the spikes of the loss in the last `patience_steps` steps."""
    large_gradients: tuple[int, ...] = ()
    """Steps of the spikes of the gradient norm alone in the last `patience_steps` steps."""
    rollbacks: int = 0
    """Rollbacks so far in the run."""
    lowered_until: int = 0
    """Step from which on the learning rate is no longer lowered."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> SpikeState:
        lists = {name: tuple(values[name]) for name in ("losses", "norms", "large_gradients")}
        return SpikeState(**{**values, **lists, "spikes": tuple((step, batch) for step, batch in values["spikes"])})


@dataclass(frozen=True)
class Verdict:
    """What a step's loss and gradient norm are taken for; `kind` is empty where they are nothing unusual."""

    action: Action
    kind: Literal["", "loss", "gradient_norm", "not_finite"]
    loss_level: Level | None
    norm_level: Level | None

    @property
    def applies_update(self) -> bool:
        return self.action in ("none", "record")


def level_of(window: tuple[float, ...], config: SpikeConfig) -> Level | None:
    """Median and spread of a window; the spread is at least `least_spread` of the median."""
    if len(window) < config.least_steps:
        return None
    middle = median(window)
    deviation = NORMAL_CONSISTENCY * median(abs(value - middle) for value in window)
    return Level(middle, max(deviation, config.least_spread * abs(middle), 1e-12))


def judge(
    state: SpikeState, config: SpikeConfig, *, step: int, batch: int, stage: int, loss: float, norm: float
) -> tuple[Verdict, SpikeState]:
    """The verdict on step `step`, which trains on `batch`, and what is remembered after it."""
    if stage != state.stage:
        state = replace(state, stage=stage, losses=(), norms=(), spikes=(), large_gradients=())
    levels = level_of(state.losses, config), level_of(state.norms, config)
    kind = _kind(levels, config, loss, norm)
    oldest = step - config.patience_steps + 1
    spikes = tuple(spike for spike in state.spikes if spike[0] >= oldest) + (
        ((step, batch),) if kind in ("loss", "not_finite") else ()
    )
    large_gradients = tuple(found for found in state.large_gradients if found >= oldest) + (
        (step,) if kind == "gradient_norm" else ()
    )
    action = _action(kind, len(spikes), len(large_gradients), state.rollbacks, config)
    windows = {"losses": _pushed(state.losses, loss, config), "norms": _pushed(state.norms, norm, config)}
    return Verdict(action, kind, *levels), replace(state, **windows, spikes=spikes, large_gradients=large_gradients)


def after_rollback(live: SpikeState, restored: SpikeState, config: SpikeConfig, step: int) -> SpikeState:
    """What is remembered after a rollback to `step`: the windows of that time, and the rollbacks of all times."""
    until = step + config.rate_steps if config.rate_factor < 1 else 0
    return replace(
        restored,
        spikes=(),
        large_gradients=(),
        rollbacks=live.rollbacks + 1,
        lowered_until=max(live.lowered_until, until),
    )


def range_to_skip(state: SpikeState, config: SpikeConfig, first_allowed: int) -> tuple[int, int]:
    """Batches `[first, end)` around the spikes of the present episode; none before `first_allowed`, which the
    checkpoint has behind it."""
    batches = [batch for _, batch in state.spikes]
    return max(first_allowed, min(batches) - config.skip_before), max(batches) + 1 + config.skip_after


def rate_scale(state: SpikeState, config: SpikeConfig, step: int) -> float:
    """What the learning rate of `step` is multiplied with."""
    return config.rate_factor if step < state.lowered_until else 1.0


def first_alike(plan: Plan, batch: int) -> int:
    """The first of the stages up to that of `batch` that differ in the size of the batch alone: one level of the
    loss is theirs."""
    index = plan.stage_index(batch)
    while index > 0 and _mixture(plan.stages[index - 1]) == _mixture(plan.stages[index]):
        index -= 1
    return index


def _mixture(stage: PlanStage) -> PlanStage:
    return replace(stage, first_batch=0, batch_sequences=1, micro_sequences=1)


def _kind(
    levels: tuple[Level | None, Level | None], config: SpikeConfig, loss: float, norm: float
) -> Literal["", "loss", "gradient_norm", "not_finite"]:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return "not_finite"
    loss_level, norm_level = levels
    if loss_level is not None and loss_level.deviations(loss) > config.loss_deviations:
        return "loss"
    if norm_level is not None and norm_level.deviations(norm) > config.gradient_deviations:
        return "gradient_norm"
    return ""


def _action(kind: str, spikes: int, large_gradients: int, rollbacks: int, config: SpikeConfig) -> Action:
    if not kind:
        return "none"
    # An update that is not finite would end the run: it is left out whatever was asked for.
    if config.action == "record" and kind != "not_finite":
        return "record"
    if kind == "gradient_norm":
        # While updates are left out the gradient stays as it is: one that stays large is the new level, and clipping
        # bounds what it does.
        return "skip" if large_gradients <= config.patience else "record"
    # A loss that stays high although nothing was learned from it has data or weights behind it that leaving out steps
    # does not mend.
    if config.action == "roll_back" and spikes >= config.patience:
        return "roll_back" if rollbacks < config.max_rollbacks else "stop"
    return "skip"


def _pushed(window: tuple[float, ...], value: float, config: SpikeConfig) -> tuple[float, ...]:
    return (*window, value)[-config.window :] if math.isfinite(value) else window
