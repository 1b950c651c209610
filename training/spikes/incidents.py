"""Incidents of a run: a line in incidents.jsonl and a row in the lake's `incidents`, with the documents of the batch.

The ranks send what they know to the first one, whose thread traces the documents and writes while training goes on.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np
import structlog

from schemas.tables.incidents import INCIDENTS
from training.audit.trace import trace_batch
from training.lake_tables import append_rows
from training.prepare import Job
from training.spikes.spikes import Level, Verdict
from training.spikes.token_evidence import DocumentEvidence, document_evidence, most_unlikely
from training.watching.metrics import finite, whole_lines

log = structlog.get_logger()

FILE = "incidents.jsonl"

MOST_WAITING = 8
"""Incidents whose token losses are held in memory; those that come while so many wait are written without documents."""


@dataclass(frozen=True)
class Incident:
    """A step that was a spike, from 1; `usual_losses` are those of each source that has been seen before."""

    step: int
    batch: int
    batch_hash: str
    verdict: Verdict
    action: str
    loss: float
    gradient_norm: float
    usual_losses: Mapping[str, float]
    rolled_back_to: int | None = None
    skipped: tuple[int, int] | None = None
    incident_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def row(self, run: Path, documents: list[DocumentEvidence]) -> dict[str, Any]:
        """The row of `incidents`."""
        skipped = self.skipped or (None, None)
        return {
            "incident_id": self.incident_id,
            "run": str(run),
            "time": self.time,
            "step": self.step,
            "batch": self.batch,
            "batch_hash": self.batch_hash,
            "kind": self.verdict.kind,
            "action": self.action,
            **_measured("loss", "loss_deviations", self.loss, self.verdict.loss_level),
            **_measured("gradient_norm", "gradient_deviations", self.gradient_norm, self.verdict.norm_level),
            "rolled_back_to": self.rolled_back_to,
            "skipped_from": skipped[0],
            "skipped_until": skipped[1],
            "doc_ids": [document.doc_id for document in documents],
            "sources": [document.source for document in documents],
            "tokens": [document.tokens for document in documents],
            "losses": [document.loss for document in documents],
            "excesses": [document.loss - self.usual_loss(document.source) for document in documents],
            "repetitions": [document.repetitions for document in documents],
        }

    def usual_loss(self, source: str) -> float:
        """What a source's loss was before; a source that was not there yet is measured by all of them."""
        level = self.verdict.loss_level
        return self.usual_losses.get(source, level.median if level else 0.0)


@dataclass(frozen=True)
class RowLosses:
    """What one rank knows of the rows of a batch from `first_row` on, at `positions` [P] of the sequence: arrays
    [rows, P]."""

    first_row: int
    positions: np.ndarray
    tokens: np.ndarray
    losses: np.ndarray
    counted: np.ndarray


class IncidentRecorder:
    """Writes incidents in a thread of its own. What goes wrong there is logged: it must not end a run."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="incidents")
        self._waiting = Semaphore(MOST_WAITING)

    def follow(self, job: Job) -> None:
        """From now on batches are read as this job has it."""
        self._job = job

    def record(self, incident: Incident, rows: list[RowLosses]) -> None:
        has_room = self._waiting.acquire(blocking=False)
        self._pool.submit(self._write, incident, rows if has_room else [], has_room)

    def flush(self) -> None:
        """Wait until all that was recorded is written."""
        self._pool.submit(lambda: None).result()

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _write(self, incident: Incident, rows: list[RowLosses], had_room: bool) -> None:
        row = incident.row(self._job.out, [])
        try:
            row = incident.row(self._job.out, self._documents(incident, rows) if rows else [])
        except Exception as error:
            log.warning("the documents of an incident could not be traced", step=incident.step, reason=str(error))
        try:
            with (self._job.out / FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite({**row, "time": row["time"].isoformat()}), allow_nan=False) + "\n")
            append_rows(self._job.lake, INCIDENTS, [row])
        except Exception as error:
            log.warning("an incident could not be written down", step=incident.step, reason=str(error))
        if had_room:
            self._waiting.release()

    def _documents(self, incident: Incident, rows: list[RowLosses]) -> list[DocumentEvidence]:
        spans = trace_batch(self._job.plan, self._job.table, incident.batch)
        documents = document_evidence(spans, *whole_batch(rows))
        return most_unlikely(documents, incident.usual_loss, self._job.config.spikes.documents)


def whole_batch(parts: list[RowLosses]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, losses and what is counted of a whole global batch, [rows, S] each, from what ranks have of it."""
    rows = max(part.first_row + len(part.tokens) for part in parts)
    length = 1 + max(int(part.positions.max()) for part in parts)
    tokens, losses, counted = (
        np.zeros((rows, length), np.int64),
        np.zeros((rows, length), np.float32),
        np.zeros((rows, length), bool),
    )
    for part in parts:
        place = np.ix_(np.arange(part.first_row, part.first_row + len(part.tokens)), part.positions)
        tokens[place], losses[place], counted[place] = part.tokens, part.losses, part.counted
    return tokens, losses, counted


def read_incidents(out: Path) -> list[dict[str, Any]]:
    """The rows of a run's incidents, in order."""
    return [json.loads(line) for line in whole_lines(out / FILE)]


def _measured(name: str, deviations: str, value: float, level: Level | None) -> dict[str, float | None]:
    finite = math.isfinite(value)
    return {
        name: value if finite else None,
        f"usual_{name}": level.median if level else None,
        deviations: level.deviations(value) if level and finite else None,
    }
