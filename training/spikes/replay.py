"""`pretrain replay`: a batch of a past run, its losses computed anew from several checkpoints. Import it only after
`prepare_device`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from schemas.plumbing.errors import UsageError
from training.audit.past_run import PastRun
from training.audit.trace import TracedSpan, trace_batch
from training.checkpoints.commit import committed, read_commit
from training.evaluation.trained_model import TrainedModel, trained_model
from training.megatron.step import run_schedule
from training.objectives.apply import objective_reader
from training.order.skips import Skips, step_of_batch
from training.reading.loader import Reader
from training.spikes.fault import (
    BatchReplay,
    DocumentReplay,
    Fault,
    batch_deviations,
    judge_fault,
    replay_documents,
    suspects,
)
from training.spikes.token_evidence import MANY_REPETITIONS, DocumentEvidence, document_evidence

FILE = "replays.jsonl"


@dataclass(frozen=True)
class CheckpointReplay:
    """What a checkpoint makes of the batch, beside the median of its neighbours (nats a token)."""

    step: int
    loss: float
    usual_loss: float
    deviations: float


@dataclass(frozen=True)
class Replay:
    """A line of replays.jsonl."""

    batch: int
    verdict: Fault
    checkpoints: tuple[CheckpointReplay, ...]
    documents: tuple[DocumentReplay, ...]
    time: str


def replay(run: PastRun, batch: int, folders: Sequence[Path], neighbours: int, device: torch.device) -> Replay:
    """Ask checkpoints about a batch and `neighbours` others; the result is appended to the run's replays.jsonl."""
    if not folders:
        raise UsageError(f"{run.out}: has no checkpoint to replay batch {batch} from")
    others = neighbours_of(batch, run.skips, neighbours)
    # All are read as the batch in question was.
    table = run.table_at(batch)
    spans = {index: trace_batch(run.plan, table, index) for index in (batch, *others)}
    replays = []
    for folder in folders:
        with trained_model(folder, device) as trained:
            replays.append(_ask(trained, run, batch, others, spans))
    config = run.config.spikes
    deviations = [batch_deviations(one, config) for one in replays]
    checkpoints = tuple(
        CheckpointReplay(one.checkpoint_step, one.loss, float(np.median(one.neighbours)), value)
        for one, value in zip(replays, deviations, strict=True)
    )
    documents = tuple(replay_documents(replays, config)[: config.documents])
    found = Replay(batch, judge_fault(deviations, config), checkpoints, documents, datetime.now(UTC).isoformat())
    with (run.out / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(found)) + "\n")
    return found


def choose_checkpoints(run: PastRun, batch: int) -> list[Path]:
    """The newest checkpoint that has not trained on the batch or later ones, and another one: an earlier one, or
    else the first later one."""
    folders = committed(run.out)
    before = [folder for folder in folders if read_commit(folder).next_batch <= batch]
    after = [folder for folder in folders if folder not in before]
    return [*before[-2:], *after[: max(0, 2 - len(before))]]


def neighbours_of(batch: int, skips: Skips, count: int) -> list[int]:
    """Batches that the run trained on before this one, nearest first; those after it where there are too few."""
    trained = [
        index
        for index in range(max(0, batch - 20 * count), batch + 20 * count)
        if index != batch and step_of_batch(index, skips) is not None
    ]
    return sorted(trained, key=lambda index: (index > batch, abs(index - batch)))[:count]


def describe(found: Replay, run: PastRun) -> list[str]:
    """The replay in a few lines."""
    lines = [
        f"checkpoint {one.step:>8}  loss {one.loss:.4f}  neighbours {one.usual_loss:.4f}  {one.deviations:+.1f} "
        f"deviations"
        for one in found.checkpoints
    ]
    for document in suspects(found.documents, run.config.spikes):
        repeated = f"  n-gram {document.repetitions} times in a row" if document.repetitions >= MANY_REPETITIONS else ""
        lines.append(
            f"document {document.doc_id}  {document.source}  {document.tokens} tokens  {min(document.deviations):+.1f} "
            f"deviations{repeated}"
        )
    meaning = {
        "data fault": "the batch is as unlikely for every checkpoint: its documents are at fault",
        "state fault": "the batch is nothing unusual for these checkpoints: the weights were at fault when the loss "
        "jumped",
        "undecided": "the checkpoints disagree, or there is only one: name others with --checkpoint",
    }
    return [*lines, f"verdict     {found.verdict}: {meaning[found.verdict]}"]


def _ask(
    trained: TrainedModel, run: PastRun, batch: int, others: list[int], spans: dict[int, list[TracedSpan]]
) -> BatchReplay:
    reader = objective_reader(run.config, run.plan, run.table_at(batch), rank=0, ranks=1)
    loss, documents = _losses(trained, reader, batch, spans[batch], len(run.plan.sources))
    neighbours = [_losses(trained, reader, index, spans[index], len(run.plan.sources)) for index in others]
    around = tuple(document for _, found in neighbours for document in found)
    return BatchReplay(trained.commit.step, loss, tuple(mean for mean, _ in neighbours), tuple(documents), around)


@torch.no_grad()
def _losses(
    trained: TrainedModel, reader: Reader, index: int, spans: list[TracedSpan], sources: int
) -> tuple[float, list[DocumentEvidence]]:
    """Mean loss of a batch, and its documents."""
    batch = reader.read(index)
    parts = run_schedule(trained.model, batch, trained.device, sources=sources, forward_only=True)
    losses = torch.cat([part["losses"] for part in parts]).float().cpu().numpy()
    tokens, counted = (array.reshape(losses.shape) for array in (batch.tokens, batch.counted))
    total, count = sum(part["sources"] for part in parts).sum(1).tolist()
    return total / count if count else math.nan, document_evidence(spans, tokens, losses, counted)
