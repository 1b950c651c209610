"""One line of progress on a terminal while Spark works; nothing elsewhere, where structured log lines tell the same."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from pyspark.sql import SparkSession

SECONDS_BETWEEN_LINES = 1.0


@contextlib.contextmanager
def progress_line(spark: SparkSession, label: str) -> Iterator[None]:
    """Rewrite one line of standard error with the tasks done, as long as the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    stop = threading.Event()
    tracker = spark.sparkContext.statusTracker()

    def show() -> None:
        while not stop.wait(SECONDS_BETWEEN_LINES):
            stages = [
                info for info in (tracker.getStageInfo(i) for i in tracker.getActiveStageIds()) if info is not None
            ]
            done, tasks = sum(s.numCompletedTasks for s in stages), sum(s.numTasks for s in stages)
            sys.stderr.write(f"\r\x1b[2K{label}: {done} of {tasks} tasks" if tasks else f"\r\x1b[2K{label}")
            sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
