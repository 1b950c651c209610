"""The training loop of one rank: build, load, step, watch, save, and finish. Import it only after `prepare_device`."""

from __future__ import annotations

import math
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import structlog
import torch
import torch.distributed as dist

from schemas.exit_codes import DONE, RUN_AGAIN
from training import parallel
from training.build import build
from training.finish import finish
from training.heartbeat import Heartbeat
from training.launch import Placement, StopRequest
from training.loader import BatchReader, prefetch
from training.lr_schedule import learning_rate
from training.optimizer import set_learning_rate
from training.prepare import Job
from training.resume import resume
from training.saver import Saver
from training.step import apply_update, compute_gradients
from training.watch import open_watch

log = structlog.get_logger()


def run_rank(job: Job, place: Placement, device: torch.device, stop: StopRequest) -> int:
    """Train to the end, or until a rank is asked to stop; returns the exit code."""
    started_at, started = datetime.now(UTC), time.monotonic()
    config = job.config
    mesh = parallel.join(config.parallel, device, rank=place.rank, world_size=place.world_size, rendezvous=place.rendezvous, seed=config.seed)
    _require_agreement(job)
    with closing(Heartbeat(job.out, _attempt(), place, config.watchdog.hang_seconds)) as heartbeat:
        finished = _train(job, mesh, device, stop, heartbeat)
    parallel.leave()
    if not finished:
        return RUN_AGAIN
    if place.rank == 0:
        finish(job, device, started_at, started)
    return DONE


def _train(job: Job, mesh: parallel.Mesh, device: torch.device, stop: StopRequest, heartbeat: Heartbeat) -> bool:
    """False where it stopped early, with its state saved."""
    config = job.config
    trainer = build(job, mesh, device)
    heartbeat.beat(job.first_step, "load")
    job = resume(job, trainer.state)
    reader = BatchReader(job.plan, job.table, rank=mesh.data_rank, ranks=mesh.data_size)
    saver = Saver(
        trainer.state,
        job.out,
        config.checkpoint,
        tokenizer=job.table.tokenizer.definition,
        device=device,
        resumed_step=job.resume[1].step if job.resume else None,
        moved=heartbeat.moved,
    )
    with (
        closing(saver),
        open_watch(job, mesh) as watch,
        closing(prefetch(reader, range(job.first_step, config.steps), config.data.prefetch, config.data.workers)) as batches,
    ):
        heartbeat.beat(job.first_step + 1, "data")
        for batch in batches:
            step = batch.index + 1
            heartbeat.beat(step, "compute")
            rate = learning_rate(batch.index, peak=config.optimizer.learning_rate, schedule=config.schedule, steps=config.steps)
            set_learning_rate(trainer.optimizer, rate, config.optimizer)
            votes = {"stop": float(stop.asked), **saver.votes(step)}
            result = compute_gradients(trainer.model, trainer.optimizer, batch, mesh, device, sources=len(job.plan.sources), votes=votes)
            if not math.isfinite(result.gradient_norm):
                raise FloatingPointError("the gradient is not finite")
            apply_update(trainer.optimizer, result.gradient_norm, config.optimizer.clip_norm)
            watch.report(step, batch, result, rate)
            saver.advance(result.votes)
            last, asked = step == config.steps, result.votes["stop"] > 0
            if last or asked or saver.is_due(result.votes):
                heartbeat.beat(step, "save")
                saver.save(job.commit(step), durable=last or asked)
                watch.resume_clock()
            if asked and not last:
                log.info("stopped on request", step=step, rank=mesh.rank)
                return False
            heartbeat.beat(step + 1, "data")
    return True


def _attempt() -> str:
    """A name for this start of the run, the same on all ranks."""
    name = [uuid.uuid4().hex]
    dist.broadcast_object_list(name, src=0)
    return name[0]


def _require_agreement(job: Job) -> None:
    """Ranks that were started apart may have found different tables or checkpoints; they must not train on."""
    facts: list[Any] = [None] * job.world_size
    dist.all_gather_object(facts, (job.plan.hash(), job.first_step))
    if len(set(facts)) > 1:
        raise RuntimeError(f"ranks disagree on the plan or on the checkpoint to go on from: {sorted(set(facts))}; pin data.tokens_version")
