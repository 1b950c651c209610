"""What is written down of every step, on the first rank alone: a line of metrics, the trackers, and a sign of
progress."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

import psutil
import torch

from training.costs.accounting import mfu, peak_flops, step_flops
from training.megatron.parallel import Mesh
from training.megatron.step import SourceLoss, StepResult
from training.prepare import Job
from training.reading.batch import Batch
from training.spikes.spikes import Verdict
from training.watching.metrics import JsonLines, SourceMetrics, StepMetrics, metrics_path, report_progress
from training.watching.statistics import StepStatistics
from training.watching.trackers import Trackers, open_trackers

LN2 = math.log(2)


@dataclass(frozen=True)
class Outlets:
    """Where numbers go."""

    metrics: JsonLines
    statistics: JsonLines
    trackers: Trackers


class Watch:
    """The clock of the steps, and where their numbers go; a rank without outlets only keeps the time."""

    def __init__(self, job: Job, device: torch.device, outlets: Outlets | None) -> None:
        self._job, self._device, self._outlets = job, device, outlets
        self._peak = peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
        self._process = psutil.Process()
        self._began = time.perf_counter()

    def report(
        self,
        step: int,
        batch: Batch,
        result: StepResult,
        rate: float,
        tokens: int,
        verdict: Verdict,
        statistics: StepStatistics | None,
        withdrawals: int,
    ) -> None:
        """Write down step `step`, from 1, which ends now; `tokens` are those of all steps so far, `withdrawals` those
        that its batch was read with."""
        now = time.perf_counter()
        seconds, self._began = now - self._began, now
        if self._outlets is None:
            return
        line = replace(self._metrics(step, batch, result, rate, tokens, verdict, seconds), withdrawals=withdrawals)
        self._outlets.metrics.write(line.line())
        self._outlets.trackers.write(step, {**line.numbers(), **(statistics.numbers() if statistics else {})})
        if statistics:
            self._outlets.statistics.write(statistics.line())
        report_progress(line, self._job.config.steps)

    def show(self, step: int, numbers: dict[str, float]) -> None:
        """Show further numbers of a step in the trackers, such as those of an evaluation."""
        if self._outlets is not None:
            self._outlets.trackers.write(step, numbers)

    def rewind(self, step: int) -> None:
        """Forget what was written down after the first `step` steps, which are gone through again."""
        if self._outlets is not None:
            self._outlets.metrics.rewind(step)
            self._outlets.statistics.rewind(step)
            self._outlets.trackers.rewind(step)
        self.resume_clock()

    def resume_clock(self) -> None:
        """What was done since the last step is not part of the next one."""
        self._began = time.perf_counter()

    def _metrics(
        self, step: int, batch: Batch, result: StepResult, rate: float, tokens: int, verdict: Verdict, seconds: float
    ) -> StepMetrics:
        job = self._job
        flops = step_flops(job.config.model, job.table.tokenizer.vocabulary_size, result.tokens, result.squared_lengths)
        # Bits a byte are a measure of prediction from what comes before, and of that alone.
        measured = [
            replace(source, bytes=source.bytes if job.config.objective.is_causal else 0) for source in result.sources
        ]
        nats, text = sum(source.total for source in measured), sum(source.bytes for source in measured)
        return StepMetrics(
            step=step,
            loss=result.loss,
            learning_rate=rate,
            gradient_norm=result.gradient_norm,
            tokens=tokens,
            tokens_per_second=result.tokens / seconds,
            data_wait=result.waited_seconds / seconds,
            batch_hash=result.batch_hash,
            batch=batch.index,
            bits_per_byte=nats / LN2 / text if text else None,
            z_loss=result.z_loss,
            sources={
                name: _source_metrics(source)
                for name, source in zip(job.plan.sources, measured, strict=True)
                if source.tokens
            },
            flops_per_second=flops / seconds,
            mfu=mfu(flops, seconds, job.world_size, self._peak) if self._peak else None,
            host_bytes=self._process.memory_info().rss,
            device_bytes=torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else 0,
            update="applied" if verdict.applies_update else "left out",
        )


def _source_metrics(source: SourceLoss) -> SourceMetrics:
    return SourceMetrics(
        source.total / source.tokens, source.total / LN2 / source.bytes if source.bytes else None, source.tokens
    )


@contextmanager
def open_watch(job: Job, mesh: Mesh, device: torch.device) -> Iterator[Watch]:
    """A watch that writes on the first rank, and only keeps the time on the others."""
    if mesh.rank != 0:
        yield Watch(job, device, None)
        return
    with ExitStack() as opened:
        metrics = opened.enter_context(closing(JsonLines(metrics_path(job.out), job.first_step)))
        statistics = opened.enter_context(closing(JsonLines(job.out / "statistics.jsonl", job.first_step)))
        settings = job.config.model_dump(mode="json")
        trackers = opened.enter_context(closing(open_trackers(job.config.watch, job.out, job.first_step, settings)))
        yield Watch(job, device, Outlets(metrics, statistics, trackers))
