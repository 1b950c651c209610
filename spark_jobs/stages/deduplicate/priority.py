"""Which of two documents comes first: that of the crawl that entered the lake earlier, then of the higher quality, then
of the smaller doc_id.

A document of an earlier crawl always wins, so that later crawls never undo a decision on it.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing.errors import UsageError


def with_priority(documents: DataFrame, crawls: DataFrame, signals: DataFrame, quality: str) -> DataFrame:
    """`documents` (doc_id, crawl, ...) with a column `priority`, a struct that sorts ascending; no two documents have
    an equal one.

    `quality` names a column of `signals`; a document without a value comes after those with one. Raises `UsageError`
    for an unknown column.
    """
    if quality not in signals.columns:
        known = ", ".join(name for name in signals.columns if name not in ("doc_id", "crawl"))
        raise UsageError(f"quality: signals has no column {quality!r}; it has {known}")
    value = F.col(quality).cast("double")
    # Spark sorts NaN above all numbers, and it is no measure of quality.
    measured = signals.select("doc_id", F.when(~F.isnan(value), value).alias("_quality"))
    ordinals = F.broadcast(crawls.select("crawl", F.col("ordinal").alias("_ordinal")))
    priority = F.struct(
        F.coalesce("_ordinal", F.raise_error(F.concat(F.lit("no such crawl in `crawls`: "), "crawl"))).alias("ordinal"),
        F.col("_quality").isNull().alias("without_quality"),
        (-F.col("_quality")).alias("quality_descending"),
        F.col("doc_id"),
    )
    return (
        documents.join(ordinals, on="crawl", how="left")
        .join(measured, on="doc_id", how="left")
        .select(*documents.columns, priority.alias("priority"))
    )
