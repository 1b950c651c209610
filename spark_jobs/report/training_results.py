"""What a training run was found to be worth: losses on held-out text while it trained, and the newest evaluation of
a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.plumbing.errors import UsageError


@dataclass(frozen=True)
class HeldOut:
    """A source after the last step that was evaluated: first and last loss in nats a token, and the last in bits a
    byte of text."""

    source: str
    objective: str
    first_loss: float
    last_loss: float
    bits_per_byte: float | None
    tokens: int


@dataclass(frozen=True)
class Results:
    """Held-out losses of a run, and tasks as (task, measure, value, items) of the evaluated checkpoint with the most
    steps."""

    step: int
    held_out: tuple[HeldOut, ...]
    evaluated: str
    tasks: tuple[tuple[str, str, float, int], ...]


def read_results(training: Path) -> Results | None:
    """None where nothing was evaluated. Raises `UsageError` where a file in the run's folder is not what it is
    named."""
    path = training / "evaluation.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    reports = sorted((training / "evaluation").glob("step-*.json"))
    try:
        by_name: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for line in map(json.loads, lines):
            by_name.setdefault((line["source"], line["objective"]), []).append(line)
        step = max((found[-1]["step"] for found in by_name.values()), default=0)
        tasks = json.loads(reports[-1].read_text(encoding="utf-8"))["tasks"] if reports else []
        held_out = (
            _held_out(source, objective, found)
            for (source, objective), found in sorted(by_name.items())
            if found[-1]["step"] == step
        )
        results = Results(
            step=step,
            held_out=tuple(held_out),
            evaluated=reports[-1].stem if reports else "",
            tasks=tuple(
                (str(one["task"]), str(one["measure"]), float(one["value"]), int(one["items"])) for one in tasks
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--training {training}: its evaluation is not readable: {error!r}") from None
    return results if results.held_out or results.tasks else None


def _held_out(source: str, objective: str, found: list[dict[str, Any]]) -> HeldOut:
    last = found[-1]
    bits = last["bits_per_byte"]
    return HeldOut(
        source,
        objective,
        float(found[0]["loss"]),
        float(last["loss"]),
        None if bits is None else float(bits),
        int(last["tokens"]),
    )
