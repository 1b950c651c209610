"""What a run reports while it runs: a line of JSON a step in metrics.jsonl, and a progress line or log lines on standard error."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()

LOG_EVERY = 10
"""Steps between log lines where standard error is not a terminal."""


@dataclass(frozen=True)
class StepMetrics:
    """A step. `step` counts from 1, `loss` is in nats a token, `tokens` are all since the first step, `data_wait` is a share of the step's time."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float
    data_wait: float
    batch_hash: str


class MetricsFile:
    """metrics.jsonl of a run. Opened again at a step, it forgets what came after, so that a resumed run leaves the file of an uninterrupted one."""

    def __init__(self, out: Path, resumed_step: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / "metrics.jsonl"
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= resumed_step]
        part = path.with_suffix(".part")
        part.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        part.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, metrics: StepMetrics) -> None:
        self._file.write(json.dumps(asdict(metrics)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(out: Path) -> list[StepMetrics]:
    """All steps of a run, in order."""
    return [StepMetrics(**json.loads(line)) for line in _whole_lines(out / "metrics.jsonl")]


def report_progress(metrics: StepMetrics, steps: int) -> None:
    if sys.stderr.isatty():
        bar = "#" * round(20 * metrics.step / steps)
        text = f"step {metrics.step}/{steps} [{bar:<20}] loss {metrics.loss:.3f}  {metrics.tokens_per_second:,.0f} tokens/s"
        print(f"\r{text:<100}", end="\n" if metrics.step == steps else "", file=sys.stderr, flush=True)
    elif metrics.step % LOG_EVERY == 0 or metrics.step in (1, steps):
        log.info("step", **{key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(metrics).items()})


def _whole_lines(path: Path) -> list[str]:
    """The lines that a killed process did not cut short."""
    if not path.is_file():
        return []
    return [line.rstrip("\n") for line in path.open(encoding="utf-8") if line.endswith("\n")]
