"""The end of a run that reached its last step: samples, its row in the ledger, and the summary."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime
from typing import Any

import torch

from schemas.plumbing.whole_file import write_whole
from training.checkpoints.commit import folder_of
from training.evaluation.evaluation_file import read_evaluations
from training.evaluation.sample import write_samples
from training.ledger import record_run
from training.prepare import Job
from training.watching.metrics import read_metrics

SUMMARY = "summary.json"


def finish(job: Job, device: torch.device, started_at: datetime, started: float) -> None:
    """The summary is written last: where it is, nothing is left to do. This process must be in no process group."""
    steps = read_metrics(job.out)
    folder = folder_of(job.out, job.config.steps)
    samples = write_samples(folder, job.config.sample, device) if job.config.objective.is_causal else []
    counts: dict[str, Any] = {
        "steps": len(steps),
        "tokens": steps[-1].tokens,
        "first_loss": steps[0].loss,
        "last_loss": steps[-1].loss,
    }
    held_out = {
        f"{one.source}/{one.objective}": one.loss for one in read_evaluations(job.out) if one.step == job.config.steps
    }
    counts |= {"held_out_losses": held_out} if held_out else {}
    seconds = time.monotonic() - started
    record_run(
        job.lake,
        run_id=uuid.uuid4().hex,
        config=job.config,
        table=job.table,
        out=str(job.out),
        counts=counts,
        started_at=started_at,
        seconds=seconds,
    )
    summary = {
        **counts,
        "checkpoint": str(folder),
        "metrics": str(job.out / "metrics.jsonl"),
        "samples": samples,
        "seconds": seconds,
    }
    write_whole(job.out / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False))
