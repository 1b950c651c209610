"""Points of a scaling law: finished runs, or a table of them; and a fitted law as a file."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from schemas.plumbing.errors import UsageError
from schemas.plumbing.whole_file import write_whole
from training.checkpoints.commit import newest_commit
from training.config import TrainingConfig
from training.evaluation.evaluation_file import mean_loss, read_evaluations
from training.scaling.fit import Fit, Point
from training.scaling.laws import Law
from training.watching.metrics import read_metrics

COLUMNS = ("parameters", "tokens", "loss")

LAST_SHARE = 0.02
"""Share of a run's steps whose mean training loss stands for its end, where nothing was held out; fewer are too
noisy, more are not the end."""


def point_of_run(out: Path) -> Point:
    """A run by its folder: weights that a token passes through (embeddings included), tokens, and the last held-out
    loss, or else the training loss."""
    newest = newest_commit(out)
    if newest is None:
        raise UsageError(f"{out}: has no committed checkpoint, so it is no finished run")
    commit = newest[1]
    config = TrainingConfig.model_validate(commit.config)
    if commit.step < config.steps:
        raise UsageError(
            f"{out}: is at step {commit.step} of {config.steps}; a law is fitted to finished runs, whose learning rate "
            f"has come down"
        )
    steps = read_metrics(out)
    held_out = _held_out_loss(out, commit.step)
    last = steps[-max(1, round(LAST_SHARE * len(steps))) :]
    loss = held_out if held_out is not None else fmean(step.loss for step in last)
    return Point(config.model.active_parameters(commit.vocabulary_size), steps[-1].tokens, loss)


def points_of_csv(path: Path) -> list[Point]:
    """Rows of a CSV with the columns parameters, tokens and loss (nats a token)."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise UsageError(f"{path}: must have the columns {', '.join(COLUMNS)}")
        return [_point(row, f"{path}:{rows.line_num}") for row in rows]


def write_points(path: Path, points: list[Point]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows([getattr(point, column) for column in COLUMNS] for point in points)


def write_fit(path: Path, fit: Fit) -> None:
    write_whole(path, json.dumps(asdict(fit)))


def read_fit(path: Path) -> Fit:
    """What `write_fit` wrote."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Fit(Law(**values["law"]), tuple(Law(**law) for law in values["samples"]), tuple(values["residuals"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: is not a law written by `pretrain scaling fit --out`") from None


def _held_out_loss(out: Path, step: int) -> float | None:
    """Mean over all sources of the evaluation after the last step, of text from left to right."""
    found = [one for one in read_evaluations(out) if one.step == step and one.objective == "causal"]
    return mean_loss(found, "causal") if found else None


def _point(row: dict[str, str], where: str) -> Point:
    try:
        values = [float(row[column]) for column in COLUMNS]
    except (TypeError, ValueError):
        values = []
    if not values or not all(0 < value < float("inf") for value in values):
        raise UsageError(f"{where}: {', '.join(COLUMNS)} must be numbers above 0")
    return Point(*values)
