"""The crawls of a lake, and how one enters it: the order of entering is the order of priority, whatever the names."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from schemas.tables.crawls import CRAWLS
from schemas.tables.runs import RUNS
from spark_jobs.lake import delta


def crawls_in_order(spark: SparkSession, lake: str) -> tuple[str, ...]:
    """Names of the crawls, in the order in which they entered the lake.

    A lake from before there was a table of them has them in the order of their first runs in the ledger.
    """
    if delta.table_exists(spark, lake, CRAWLS):
        rows = delta.read_table(spark, lake, CRAWLS).orderBy("ordinal").collect()
    elif delta.table_exists(spark, lake, RUNS):
        runs = delta.read_table(spark, lake, RUNS).where(F.col("crawl").isNotNull())
        rows = runs.groupBy("crawl").agg(F.min("started_at").alias("first")).orderBy("first", "crawl").collect()
    else:
        rows = []
    return tuple(row["crawl"] for row in rows)


def enter_crawls(spark: SparkSession, lake: str, names: Iterable[str]) -> tuple[str, ...]:
    """Let the crawls enter that the lake does not know yet; returns all crawls in their order. One that is there keeps
    its place."""
    known = crawls_in_order(spark, lake)
    all_crawls = tuple(dict.fromkeys((*known, *names)))
    recorded = known if delta.table_exists(spark, lake, CRAWLS) else ()
    new = [name for name in all_crawls if name not in recorded]
    if new:
        now = datetime.now(UTC)
        rows = [(name, all_crawls.index(name), now) for name in new]
        delta.append_rows(spark.createDataFrame(rows, CRAWLS.spark()), lake, CRAWLS)
    return all_crawls
