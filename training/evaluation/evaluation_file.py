"""evaluation.jsonl: a run's held-out losses by step, source and objective. Imports no torch, so that others can read
it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.plumbing.whole_file import write_whole

FILE = "evaluation.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """Held-out losses of one source after `step` steps, in nats a token; bits per byte of its text where every token
    is predicted from those before it."""

    step: int
    source: str
    objective: str
    loss: float
    bits_per_byte: float | None
    tokens: int


def mean_loss(evaluations: list[Evaluation], objective: str) -> float:
    """Nats a token over all sources."""
    chosen = [one for one in evaluations if one.objective == objective]
    return sum(one.loss * one.tokens for one in chosen) / sum(one.tokens for one in chosen)


def write_evaluations(out: Path, evaluations: list[Evaluation]) -> None:
    """Put an evaluation into the file of a run, after those of earlier steps; what the file has of later steps was
    before a restart, and goes."""
    kept = [one for one in read_evaluations(out) if one.step < evaluations[0].step]
    write_whole(out / FILE, "".join(json.dumps(asdict(one)) + "\n" for one in [*kept, *evaluations]))


def read_evaluations(out: Path) -> list[Evaluation]:
    """All evaluations of a run, in order of their steps."""
    path = out / FILE
    return (
        [Evaluation(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.is_file()
        else []
    )
