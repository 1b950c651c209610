"""The ledger as a run of stages needs it: the newest entry of each stage and crawl, and who wrote which table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.tables.runs import RUNS
from spark_jobs.lake import delta

_FACTS = ("fingerprint", "config", "output_table", "output_version", "counts", "seconds")


@dataclass(frozen=True)
class Entry:
    """The newest execution of a stage, for one crawl or (`crawl` None) for the whole lake."""

    stage: str
    crawl: str | None
    fingerprint: str
    config: str
    output_table: str
    output_version: int
    counts: dict[str, int]
    seconds: float
    started: int
    """When it started, in microseconds since 1970. Its commit carries the same number, so that both can be
    compared."""


class Ledger:
    """The newest entries of a lake, read once and then kept up to date with what is entered through it."""

    def __init__(self, spark: SparkSession, lake: str) -> None:
        self._spark, self._lake = spark, lake
        self._newest = _newest_entries(spark, lake)

    def newest(self, stage: str, crawl: str | None) -> Entry | None:
        return self._newest.get((stage, crawl))

    def entries(self) -> list[Entry]:
        """All of them, in the order in which they started."""
        return sorted(self._newest.values(), key=lambda entry: entry.started)

    def writers(self, table: str) -> dict[str | None, int]:
        """The version that the newest writer of each crawl's rows committed; None stands for a writer of the whole
        table. Empty for a table that no stage has written."""
        return {entry.crawl: entry.output_version for entry in self.entries() if entry.output_table == table}

    def enter(self, row: Mapping[str, Any]) -> None:
        """Append a row of `runs`."""
        delta.append_rows(self._spark.createDataFrame([dict(row)], RUNS.spark()), self._lake, RUNS)
        entry = _entry({**row, "started": microseconds(row["started_at"])})
        self._newest[entry.stage, entry.crawl] = entry


def newest_rows(runs: DataFrame, *by: str) -> DataFrame:
    """Of rows of `runs` the one that started last, for each value of the columns `by`."""
    order = F.struct("started_at", "run_id")
    return runs.groupBy(*by).agg(F.max_by(F.struct(*runs.columns), order).alias("newest")).select("newest.*")


def microseconds(time: datetime) -> int:
    """Since 1970."""
    since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _newest_entries(spark: SparkSession, lake: str) -> dict[tuple[str, str | None], Entry]:
    if not delta.table_exists(spark, lake, RUNS):
        return {}
    # What has no version was written by a training run.
    runs = delta.read_table(spark, lake, RUNS).where(F.col("output_version").isNotNull())
    newest = newest_rows(runs, "stage", "crawl").withColumn("started", F.unix_micros("started_at"))
    entries = [_entry(row.asDict()) for row in newest.collect()]
    return {(entry.stage, entry.crawl): entry for entry in entries}


def _entry(row: Mapping[str, Any]) -> Entry:
    facts = {name: row[name] for name in ("stage", "crawl", *_FACTS, "started")}
    return Entry(**facts | {"counts": json.loads(facts["counts"])})
