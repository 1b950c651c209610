"""What a run reports of every step: a line of JSON in metrics.jsonl, and a progress line or log lines on standard
error."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import asdict, dataclass, field
from errno import EDQUOT, EFBIG, ENOSPC
from io import FileIO
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()

NO_ROOM = (ENOSPC, EDQUOT, EFBIG)
"""Errors of a disk, a quota or a limit on files that leave no room."""

LOG_EVERY = 10
"""Steps between log lines where standard error is not a terminal."""

LOGGED = (
    "step",
    "loss",
    "learning_rate",
    "gradient_norm",
    "tokens",
    "tokens_per_second",
    "data_wait",
    "mfu",
    "batch_hash",
)
"""What log lines hold of a step; metrics.jsonl holds all."""


@dataclass(frozen=True)
class SourceMetrics:
    """A source in a batch: mean loss in nats a token, the same in bits a byte of text (none where the tokens stand
    for no text), counted tokens."""

    loss: float
    bits_per_byte: float | None
    tokens: int


@dataclass(frozen=True)
class StepMetrics:
    """A step. `step` counts from 1, `loss` is in nats a token, `tokens` are all since the first step, `data_wait` is
    a share of the step's time.

    What is not finite is null in the file and NaN here.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float
    data_wait: float
    batch_hash: str
    batch: int = -1
    """The global batch, from 0; it differs from `step` - 1 once batches were left out."""
    bits_per_byte: float | None = None
    """The loss in bits a byte of text, over all sources."""
    z_loss: float = 0.0
    """The weighted z-loss (`objective.z_loss`), which is minimised beside the loss and no part of it."""
    sources: dict[str, SourceMetrics] = field(default_factory=dict)
    """The sources that the batch has tokens of."""
    flops_per_second: float = 0.0
    """Operations of all ranks that the model needs, attention counted by the squared lengths of what it sees as one
    (`training.costs.accounting`)."""
    mfu: float | None = None
    """These as a share of the devices' peak; none where that is not known, as for a CPU."""
    host_bytes: int = 0
    """Memory of the first rank's process."""
    device_bytes: int = 0
    """Most memory that tensors took on its GPU so far; 0 without one."""
    withdrawals: int = 0
    """Withdrawals of documents that were known when the batch was read."""
    update: str = "applied"
    """`applied`, or `left out` because of a spike."""

    def numbers(self) -> dict[str, float]:
        """All that can be drawn, by names with `/` between groups."""
        values = {
            name: value
            for name, value in asdict(self).items()
            if isinstance(value, int | float) and name not in ("step", "batch")
        }
        for name, source in self.sources.items():
            values[f"source_loss/{name}"] = source.loss
            if source.bits_per_byte is not None:
                values[f"source_bits_per_byte/{name}"] = source.bits_per_byte
        values["update_applied"] = float(self.update == "applied")
        return values

    def line(self) -> str:
        return json.dumps(finite(asdict(self)), allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> StepMetrics:
        values = json.loads(line)
        for name in ("loss", "gradient_norm"):
            values[name] = math.nan if values[name] is None else values[name]
        sources = {
            name: SourceMetrics(**{**source, "loss": _or_nan(source["loss"])})
            for name, source in values.get("sources", {}).items()
        }
        return cls(**{**values, "sources": sources})


class JsonLines:
    """A file of a run with a line of JSON for a step. Opened again at a step, it forgets what came after: a resumed
    run leaves that of an undisturbed one.

    Lines that the disk has no room for wait in memory until it has: no run ends because of them.
    """

    def __init__(self, path: Path, resumed_step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._waiting = b""
        self._full = False
        self._file = self._open(resumed_step)

    def write(self, line: str) -> None:
        self._waiting += (line + "\n").encode()
        whole = self._file.tell()
        try:
            if self._file.write(self._waiting) < len(self._waiting):
                raise OSError(ENOSPC, os.strerror(ENOSPC), str(self._path))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            # What was written of the last line would join the next one.
            self._file.truncate(whole)
            self._file.seek(whole)
            if not self._full:
                log.warning("no room for a line; it waits in memory", file=str(self._path), reason=str(error))
            self._full = True
        else:
            self._waiting, self._full = b"", False

    def rewind(self, step: int) -> None:
        """Forget the lines of later steps."""
        waiting = [line for line in self._waiting.decode().splitlines() if json.loads(line)["step"] <= step]
        self._waiting = "".join(line + "\n" for line in waiting).encode()
        self._file.close()
        self._file = self._open(step)

    def close(self) -> None:
        self._file.close()

    def _open(self, step: int) -> FileIO:
        kept = "".join(line + "\n" for line in whole_lines(self._path) if json.loads(line)["step"] <= step).encode()
        # A disk that is full has no room for a copy that says the same.
        if not self._path.is_file() or self._path.read_bytes() != kept:
            part = self._path.with_suffix(".part")
            part.write_bytes(kept)
            part.replace(self._path)
        file = FileIO(self._path, "r+")
        file.seek(0, os.SEEK_END)
        return file


def metrics_path(out: Path) -> Path:
    return out / "metrics.jsonl"


def read_metrics(out: Path) -> list[StepMetrics]:
    """All steps of a run, in order."""
    return [StepMetrics.from_line(line) for line in whole_lines(metrics_path(out))]


def report_progress(metrics: StepMetrics, steps: int) -> None:
    if sys.stderr.isatty():
        bar = "#" * round(20 * metrics.step / steps)
        speed = f"{metrics.tokens_per_second:,.0f} tokens/s"
        text = f"step {metrics.step}/{steps} [{bar:<20}] loss {metrics.loss:.3f}  {speed}"
        print(f"\r{text:<100}", end="\n" if metrics.step == steps else "", file=sys.stderr, flush=True)
    elif metrics.step % LOG_EVERY == 0 or metrics.step in (1, steps):
        values = {name: value for name in LOGGED if (value := getattr(metrics, name)) is not None}
        log.info(
            "step", **{name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
        )


def whole_lines(path: Path) -> list[str]:
    """The lines that a killed process did not cut short."""
    if not path.is_file():
        return []
    return [line.rstrip("\n") for line in path.open(encoding="utf-8") if line.endswith("\n")]


def finite(value: Any) -> Any:
    """The value with None for what is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
