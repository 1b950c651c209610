"""The training loop of one rank: build, load, step, watch, save, and finish. Import it only after `prepare_device`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
import torch
import torch.distributed as dist

from schemas.plumbing.exit_codes import DONE, RUN_AGAIN
from training.checkpoints.commit import step_of
from training.checkpoints.resume import resume
from training.checkpoints.saver import Saver
from training.evaluation.losses import Evaluator
from training.finish import finish
from training.launch import Placement, StopRequest
from training.lr_schedule import learning_rate
from training.megatron import parallel
from training.megatron.build import build
from training.megatron.optimizer import set_learning_rate
from training.megatron.step import StepResult, Trainer, apply_update, compute_gradients
from training.objectives.apply import objective_reader
from training.order.skips import StepBatches, batch_of_step, recorded_skips, tokens_of_steps
from training.prepare import Job
from training.reading.batch import Batch
from training.reading.loader import Reader, prefetch
from training.reading.withdrawn import Withdrawn
from training.spikes.guard import SpikeGuard
from training.spikes.spikes import Verdict
from training.watching.heartbeat import Heartbeat
from training.watching.statistics import LayerProbe, StepStatistics
from training.watching.stragglers import OwnClock
from training.watching.watch import Watch, open_watch
from training.watching.withdrawals import WithdrawalWatch

log = structlog.get_logger()


def run_rank(job: Job, place: Placement, device: torch.device, stop: StopRequest) -> int:
    """Train to the end, or until a rank is asked to stop; returns the exit code."""
    started_at, started = datetime.now(UTC), time.monotonic()
    config = job.config
    mesh = parallel.join(
        config.parallel,
        device,
        rank=place.rank,
        world_size=place.world_size,
        rendezvous=place.rendezvous,
        seed=config.seed,
    )
    _require_agreement(job)
    with closing(Heartbeat(job.out, _attempt(), place, config.watchdog.hang_seconds)) as heartbeat:
        finished = _train(job, mesh, device, stop, heartbeat)
    parallel.leave()
    if not finished:
        return RUN_AGAIN
    if place.rank == 0:
        finish(job, device, started_at, started)
    return DONE


@dataclass(frozen=True)
class Run:
    """Everything that the steps of a run work with."""

    job: Job
    trainer: Trainer
    reader: Reader
    evaluator: Evaluator
    saver: Saver
    guard: SpikeGuard
    watch: Watch
    heartbeat: Heartbeat
    clock: OwnClock
    stop: StopRequest
    withdrawals: WithdrawalWatch


@dataclass(frozen=True)
class PickUp:
    """After `step` steps there are withdrawals that the batches to come are to be read with."""

    step: int


def _train(job: Job, mesh: parallel.Mesh, device: torch.device, stop: StopRequest, heartbeat: Heartbeat) -> bool:
    """False where it stopped early, with its state saved."""
    trainer = build(job, mesh, device)
    heartbeat.beat(job.first_step, "load")
    job = resume(job, trainer.state)
    saver = Saver(
        trainer.state,
        job.out,
        job.config.checkpoint,
        tokenizer=job.table.tokenizer.definition,
        device=device,
        resumed_step=job.resume[1].step if job.resume else None,
        moved=heartbeat.moved,
    )
    with closing(saver), closing(SpikeGuard(job, mesh)) as guard, open_watch(job, mesh, device) as watch:
        clock = OwnClock(trainer.model[0].config, device, job.config.watchdog.straggler_every)
        first = job.first_step
        withdrawals = WithdrawalWatch(job, mesh, batch_of_step(first, guard.skips))
        job, reader, evaluator = _readers(job, withdrawals.known, mesh, device)
        run = Run(job, trainer, reader, evaluator, saver, guard, watch, heartbeat, clock, stop, withdrawals)
        while not isinstance(ended := _steps(run, first), bool):
            if isinstance(ended, Path):
                heartbeat.beat(step_of(ended), "load")
                first = guard.roll_back(ended, trainer.state)
                watch.rewind(first)
                withdrawals.from_batch(batch_of_step(first, guard.skips))
            else:
                first = ended.step
                known = withdrawals.take_up(batch_of_step(first, guard.skips))
                job, reader, evaluator = _readers(job, known, mesh, device)
                guard.follow(job)
                run = replace(run, job=job, reader=reader, evaluator=evaluator)
    return ended


def _readers(
    job: Job, withdrawn: Withdrawn, mesh: parallel.Mesh, device: torch.device
) -> tuple[Job, Reader, Evaluator]:
    """What reads for the run, without what is withdrawn."""
    table = replace(job.table, withdrawn=withdrawn)
    reader = objective_reader(job.config, job.plan, table, rank=mesh.data_rank, ranks=mesh.data_size)
    return replace(job, table=table), reader, Evaluator(job.config, job.plan, table, mesh, device)


def _steps(run: Run, first: int) -> bool | Path | PickUp:
    """Steps `first`, from 0, to the last one. False where it stopped early, with its state saved; a checkpoint where
    it is to be gone back to; a pick-up where it is to go on with other readers."""
    job, config, trainer, guard = run.job, run.job.config, run.trainer, run.guard
    if run.evaluator.is_missing(first, job.out):
        _evaluate(run, first, batch_of_step(first - 1, guard.skips))
    indices = StepBatches(range(first, config.steps), guard.skips)
    with closing(prefetch(run.reader, indices, config.data.prefetch, config.data.workers)) as batches:
        run.heartbeat.beat(first + 1, "data")
        for step, batch in enumerate(batches, start=first + 1):
            run.heartbeat.beat(step, "compute")
            run.clock.begin(step)
            tokens = tokens_of_steps(job.plan, step, guard.skips)
            rate = learning_rate(
                step - 1,
                peak=config.optimizer.learning_rate,
                schedule=config.schedule,
                steps=config.steps,
                tokens=tokens,
                scale=guard.rate_scale(step - 1),
            )
            set_learning_rate(trainer.optimizer, rate, config.optimizer)
            votes = {"stop": float(run.stop.asked), **run.saver.votes(step), **run.withdrawals.votes()}
            result, verdict, statistics = _step(run, step, batch, votes)
            run.watch.report(step, batch, result, rate, tokens, verdict, statistics, run.withdrawals.known.count)
            if slowest := run.clock.compare(step, job.out):
                run.watch.show(step, {"slowest_rank": slowest.rank, "slowest_over_median": slowest.ratio})
            if verdict.action == "roll_back":
                # A checkpoint that is still being written may be the one to go back to.
                run.saver.settle()
            if verdict.kind and (target := guard.handle(verdict, step - 1, batch, result)):
                return target
            run.saver.advance(result.votes)
            last, asked = step == config.steps, result.votes["stop"] > 0
            if last or asked or run.saver.is_due(result.votes):
                run.heartbeat.beat(step, "save")
                state = guard.to_json() | run.withdrawals.to_json()
                run.saver.save(replace(job.commit(step), state=state), durable=last or asked)
                run.watch.resume_clock()
            if run.evaluator.is_due(step) and (last or not asked):
                _evaluate(run, step, batch.index)
            if asked and not last:
                log.info("stopped on request", step=step, rank=trainer.mesh.rank)
                return False
            if run.withdrawals.is_behind(result.votes) and not last:
                return PickUp(step)
            run.heartbeat.beat(step + 1, "data")
    return True


def _evaluate(run: Run, step: int, last_batch: int) -> None:
    """Held-out losses after `step` steps, of which `last_batch` was the last batch."""
    run.heartbeat.beat(step, "evaluate")
    run.watch.show(step, run.evaluator.record(run.trainer.model, step, last_batch, run.job.out, run.heartbeat.moved))
    run.watch.resume_clock()


def _step(
    run: Run, step: int, batch: Batch, votes: Mapping[str, float]
) -> tuple[StepResult, Verdict, StepStatistics | None]:
    """Gradients, the verdict on them, and the update unless it is left out; statistics by layer where they are due."""
    config, trainer = run.job.config, run.trainer
    every = config.watch.statistics_every
    probe = LayerProbe(trainer, config.model.layers) if every and step % every == 0 else None
    with probe.watch_activations() if probe else nullcontext():
        result = compute_gradients(trainer, batch, sources=len(run.job.plan.sources), votes=votes)
    verdict = run.guard.judge(step - 1, batch, result)
    if probe:
        probe.before_update()
    if verdict.applies_update:
        apply_update(trainer.optimizer, result.gradient_norm, config.optimizer.clip_norm)
    if probe:
        probe.after_update()
    return result, verdict, probe.summary(step) if probe else None


def _attempt() -> str:
    """A name for this start of the run, the same on all ranks."""
    name = [uuid.uuid4().hex]
    dist.broadcast_object_list(name, src=0)
    return name[0]


def _require_agreement(job: Job) -> None:
    """Ranks that were started apart may have found different tables or checkpoints; they must not train on."""
    facts: list[Any] = [None] * job.world_size
    skips = recorded_skips(job.out, job.resume[1].state if job.resume else {})
    dist.all_gather_object(facts, (job.plan.hash(), job.first_step, skips))
    if len(set(facts)) > 1:
        raise RuntimeError(
            f"ranks disagree on the plan, the checkpoint to go on from, or what is left out: {sorted(set(facts))}; pin "
            f"data.tokens_version"
        )
