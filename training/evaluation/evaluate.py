"""A checkpoint put to the test: held-out losses, tasks of lm-evaluation-harness, what it gives back word for word,
and what it has read of evaluation sets."""

from __future__ import annotations

import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.audit.contamination import Overlap, overlaps
from training.audit.past_run import PastRun
from training.evaluation.asked import Asked
from training.evaluation.evaluation_file import Evaluation
from training.evaluation.evaluation_report import write_report
from training.evaluation.harness import TaskResult, run_tasks
from training.evaluation.held_out import held_out_stretches
from training.evaluation.losses import Evaluator
from training.evaluation.memorisation import CONTINUATION, Memorised, probe, trained_stretches, untrained_stretches
from training.evaluation.trained_model import TrainedModel, trained_model
from training.exchange.export_hf import export
from training.ledger import record_run
from training.order.skips import batch_of_step

STAGE = "evaluate"


@dataclass(frozen=True)
class Results:
    """All that was found of the checkpoint after `step` steps."""

    checkpoint: str
    step: int
    layout: str
    held_out: list[Evaluation]
    tasks: list[TaskResult]
    memorised: list[Memorised]
    overlaps: list[Overlap]


def evaluate(run: PastRun, folder: Path, lake: str, asked: Asked, device: torch.device) -> list[Path]:
    """Evaluate a checkpoint of a run, write the report into the run's folder, and a row into the ledger; returns the
    files of the report."""
    started_at, started = datetime.now(UTC), time.monotonic()
    held_out: list[Evaluation] = []
    memorised: list[Memorised] = []
    if run.config.data.held_out_tokens or asked.memorised:
        with trained_model(folder, device) as trained:
            evaluator = Evaluator(run.config, run.plan, run.table, trained.mesh, device)
            held_out = evaluator.losses(
                trained.model, run.commit.step, batch_of_step(max(0, run.commit.step - 1), run.skips)
            )
            memorised = _memorised(trained, run, asked) if asked.memorised else []
    tasks = _tasks(folder, asked, device) if asked.tasks else []
    found = overlaps(lake, run.plan, run.table, steps=run.commit.step, skips=run.skips, pick_ups=run.pick_ups)
    results = Results(str(folder), run.commit.step, run.commit.layout, held_out, tasks, memorised, found)
    files = write_report(run.out / "evaluation", folder.name, asdict(results))
    record_run(
        lake,
        stage=STAGE,
        inputs={"checkpoint": str(run.commit.step), "plan": run.commit.plan_hash, "asked": repr(asked)},
        run_id=uuid.uuid4().hex,
        config=run.config,
        table=run.table,
        out=str(files[0]),
        counts=counts(results),
        started_at=started_at,
        seconds=time.monotonic() - started,
    )
    return files


def counts(results: Results) -> dict[str, Any]:
    """The results as the ledger has them: names with `/` between groups, and numbers."""
    found: dict[str, Any] = {"steps": results.step}
    for one in results.held_out:
        found[f"held_out/{one.source}/{one.objective}/loss"] = one.loss
        if one.bits_per_byte is not None:
            found[f"held_out/{one.source}/{one.objective}/bits_per_byte"] = one.bits_per_byte
    found |= {f"task/{one.task}/{one.measure}": one.value for one in results.tasks}
    for group in results.memorised:
        found[f"memorised/{'held out' if group.reads is None else group.reads}/share_{CONTINUATION}"] = group.share_50
    found |= {f"documents_read/{one.set_name}": one.documents_read for one in results.overlaps}
    return found


def _memorised(trained: TrainedModel, run: PastRun, asked: Asked) -> list[Memorised]:
    held_out = held_out_stretches(run.plan, run.table, run.config.evaluation.tokens)
    stretches = [
        *untrained_stretches(run.plan, run.table, held_out, asked.memorised),
        *trained_stretches(run.plan, run.table, steps=run.commit.step, skips=run.skips, most=asked.memorised),
    ]

    def likeliest(tokens: np.ndarray) -> np.ndarray:
        return trained.logits(torch.from_numpy(tokens)).argmax(-1).numpy()  # type: ignore[no-any-return]

    return probe(stretches, likeliest, asked.batch_size)


def _tasks(folder: Path, asked: Asked, device: torch.device) -> list[TaskResult]:
    with tempfile.TemporaryDirectory(prefix="headwater-evaluate-") as exported:
        export(folder, Path(exported))
        return run_tasks(
            Path(exported),
            asked.tasks,
            asked.tasks_folder,
            device=str(device),
            batch_size=asked.batch_size,
            limit=asked.task_items,
        )
