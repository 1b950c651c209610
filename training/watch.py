"""What is written down of every step: a line of metrics and a sign of progress, on the first rank alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from training.batch import Batch
from training.metrics import MetricsFile, StepMetrics, report_progress
from training.parallel import Mesh
from training.prepare import Job
from training.step import StepResult


class Watch:
    """The clock of the steps, and where their numbers go; a rank without a file only keeps the time."""

    def __init__(self, job: Job, file: MetricsFile | None) -> None:
        self._job, self._file = job, file
        self._began = time.perf_counter()

    def report(self, step: int, batch: Batch, result: StepResult, rate: float) -> None:
        """Write down a step that ends now."""
        now = time.perf_counter()
        seconds, self._began = now - self._began, now
        if self._file is None:
            return
        line = StepMetrics(
            step=step,
            loss=result.loss,
            learning_rate=rate,
            gradient_norm=result.gradient_norm,
            tokens=step * result.tokens,
            tokens_per_second=result.tokens / seconds,
            data_wait=batch.waited_seconds / seconds,
            batch_hash=result.batch_hash,
        )
        self._file.write(line)
        report_progress(line, self._job.config.steps)

    def resume_clock(self) -> None:
        """What was done since the last step is not part of the next one."""
        self._began = time.perf_counter()


@contextmanager
def open_watch(job: Job, mesh: Mesh) -> Iterator[Watch]:
    """A watch that writes on the first rank, and one that only keeps the time on the others."""
    if mesh.rank != 0:
        yield Watch(job, None)
        return
    with closing(MetricsFile(job.out, job.first_step)) as file:
        yield Watch(job, file)
