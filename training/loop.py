"""The training loop of one rank: build, load, step, report, save, and finish. Import it only after `prepare_device`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
import torch
import torch.distributed as dist

from schemas.exit_codes import DONE, RUN_AGAIN
from training import checkpoint, parallel
from training.commit import folder_of
from training.config import TrainingConfig
from training.launch import Placement, StopRequest
from training.ledger import record_run
from training.loader import BatchReader, prefetch
from training.lr_schedule import learning_rate
from training.metrics import MetricsFile, StepMetrics, read_metrics, report_progress
from training.model import build_model
from training.optimizer import build_optimizer, set_learning_rate, wrap_data_parallel
from training.prepare import Job
from training.sample import write_samples
from training.step import StepResult, connect_gradients, train_step

log = structlog.get_logger()

SUMMARY = "summary.json"


def run_rank(job: Job, place: Placement, device: torch.device, stop: StopRequest) -> int:
    """Train to the end, or until a rank is asked to stop; returns the exit code."""
    started_at, started = datetime.now(UTC), time.monotonic()
    config = job.config
    mesh = parallel.join(config.parallel, device, rank=place.rank, world_size=place.world_size, rendezvous=place.rendezvous, seed=config.seed)
    _require_agreement(job)
    finished = _train(job, mesh, device, stop)
    parallel.leave()
    if not finished:
        return RUN_AGAIN
    if place.rank == 0:
        _finish(job, device, started_at, started)
    return DONE


def compute_type(config: TrainingConfig, device: torch.device) -> torch.dtype:
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[config.precision]


def _train(job: Job, mesh: parallel.Mesh, device: torch.device, stop: StopRequest) -> bool:
    """False where it stopped early, with its state saved."""
    config, tokenizer = job.config, job.table.tokenizer
    dtype = compute_type(config, device)
    model, transformer = build_model(
        config.model,
        config.parallel,
        mesh,
        device,
        vocabulary_size=tokenizer.vocabulary_size,
        sequence_length=config.data.sequence_length,
        dtype=dtype,
        seed=config.seed,
    )
    replica = wrap_data_parallel(model, transformer)
    optimizer = build_optimizer(config.optimizer, replica, device, dtype)
    connect_gradients(transformer, optimizer)
    state = checkpoint.TrainingState(model, optimizer, mesh)
    if job.resume:
        checkpoint.load(state, *job.resume)
    reader = BatchReader(job.plan, job.table, rank=mesh.data_rank, ranks=mesh.data_size, micro_sequences=config.batch.micro_sequences)
    with _metrics(job, mesh.rank) as metrics, closing(prefetch(reader, job.first_step, config.steps, config.data.prefetch)) as batches:
        began = time.perf_counter()
        for batch in batches:
            rate = learning_rate(batch.index, peak=config.optimizer.learning_rate, schedule=config.schedule, steps=config.steps)
            set_learning_rate(optimizer, rate, config.optimizer)
            result = train_step(replica, optimizer, batch, mesh, device, stop.asked)
            now = time.perf_counter()
            step = batch.index + 1
            if metrics:
                line = _line(step, result, rate, now - began, batch.waited_seconds)
                metrics.write(line)
                report_progress(line, config.steps)
            began = now
            last = step == config.steps
            if last or result.stop or step % config.checkpoint.every == 0:
                checkpoint.save(state, job.out, job.commit(step), tokenizer.definition, config.checkpoint.keep)
                began = time.perf_counter()
            if result.stop and not last:
                log.info("stopped on request", step=step, rank=mesh.rank)
                return False
    return True


def _line(step: int, result: StepResult, rate: float, seconds: float, waited: float) -> StepMetrics:
    return StepMetrics(
        step=step,
        loss=result.loss,
        learning_rate=rate,
        gradient_norm=result.gradient_norm,
        tokens=step * result.tokens,
        tokens_per_second=result.tokens / seconds,
        data_wait=waited / seconds,
        batch_hash=result.batch_hash,
    )


@contextmanager
def _metrics(job: Job, rank: int) -> Iterator[MetricsFile | None]:
    """The metrics file on the first rank, nothing on the others."""
    if rank != 0:
        yield None
        return
    with closing(MetricsFile(job.out, job.first_step)) as metrics:
        yield metrics


def _require_agreement(job: Job) -> None:
    """Ranks that were started apart may have found different tables or checkpoints; they must not train on."""
    facts: list[Any] = [None] * job.world_size
    dist.all_gather_object(facts, (job.plan.hash(), job.first_step))
    if len(set(facts)) > 1:
        raise RuntimeError(f"ranks disagree on the plan or on the checkpoint to go on from: {sorted(set(facts))}; pin data.tokens_version")


def _finish(job: Job, device: torch.device, started_at: datetime, started: float) -> None:
    """Samples, the ledger and the summary, which is written last: where it is, nothing is left to do."""
    steps = read_metrics(job.out)
    folder = folder_of(job.out, job.config.steps)
    samples = write_samples(folder, job.config.sample, device)
    counts = {"steps": len(steps), "tokens": steps[-1].tokens, "first_loss": steps[0].loss, "last_loss": steps[-1].loss}
    seconds = time.monotonic() - started
    record_run(job.lake, run_id=uuid.uuid4().hex, config=job.config, table=job.table, out=str(job.out), counts=counts, started_at=started_at, seconds=seconds)
    summary = {**counts, "checkpoint": str(folder), "metrics": str(job.out / "metrics.jsonl"), "samples": samples, "seconds": seconds}
    part = job.out / f"{SUMMARY}.part"
    part.write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
    part.replace(job.out / SUMMARY)
