"""The course of a training run, from the metrics.jsonl in its output folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from statistics import fmean

from schemas.plumbing.errors import UsageError

POINTS_SHOWN = 400
"""Longer runs are shown as means over runs of steps of equal length."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Curve:
    """Points (step, value): loss in nats a token, learning rate, gradient norm, tokens a second; what a run did not
    write is empty."""

    steps: int
    tokens: int
    first_loss: float
    last_loss: float
    loss: Points
    learning_rate: Points
    gradient_norm: Points
    tokens_per_second: Points


def read_curve(training: Path) -> Curve | None:
    """None for a run without a finished step. Raises `UsageError` where the folder holds no metrics, or they are no
    metrics."""
    path = training / "metrics.jsonl"
    if not path.is_file():
        raise UsageError(f"--training {training}: no metrics.jsonl there; is it the output folder of a training run?")
    by_step: dict[int, dict[str, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        # A line without its end was cut short by a kill.
        if line.endswith("\n"):
            try:
                metrics = json.loads(line)
                # A step that was repeated after a restart counts as it went the last time.
                # A loss that was not finite is null.
                by_step[int(metrics["step"])] = {
                    **metrics,
                    "loss": math.nan if metrics["loss"] is None else float(metrics["loss"]),
                }
            except (ValueError, KeyError, TypeError):
                raise UsageError(f"{path}, line {number}: not a JSON object with step and loss") from None
    if not by_step:
        return None
    ordered = [by_step[step] for step in sorted(by_step)]
    return Curve(
        steps=max(by_step),
        tokens=int(ordered[-1].get("tokens", 0)),
        first_loss=ordered[0]["loss"],
        last_loss=ordered[-1]["loss"],
        loss=_points(ordered, "loss"),
        learning_rate=_points(ordered, "learning_rate"),
        gradient_norm=_points(ordered, "gradient_norm"),
        tokens_per_second=_points(ordered, "tokens_per_second"),
    )


def _points(ordered: list[dict[str, float]], key: str) -> Points:
    found = [
        (float(m["step"]), float(m[key]))
        for m in ordered
        if isinstance(m.get(key), int | float) and math.isfinite(m[key])
    ]
    width = -(-len(found) // POINTS_SHOWN) or 1
    return tuple(
        (fmean(step for step, _ in group), fmean(value for _, value in group)) for group in batched(found, width)
    )
