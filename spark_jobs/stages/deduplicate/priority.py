"""Which of two documents comes first: the one of the earlier crawl, then of the higher quality, then of the smaller
doc_id.

An earlier crawl always wins, so that later ones never undo a decision on it.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing.errors import UsageError


def with_priority(documents: DataFrame, signals: DataFrame, quality: str) -> DataFrame:
    """`documents` (doc_id, crawl, ...) with a column `priority`, a struct that sorts ascending; no two documents
    have an equal one.

    `quality` names a column of `signals`; a document without a value comes after those with one. Raises `UsageError`
    for an unknown column.
    """
    if quality not in signals.columns:
        raise UsageError(
            f"quality: signals has no column {quality!r}; it has "
            f"{', '.join(name for name in signals.columns if name not in ('doc_id', 'crawl'))}"
        )
    value = F.col(quality).cast("double")
    # Spark sorts NaN above all numbers, and it is no measure of quality.
    measured = signals.select("doc_id", F.when(~F.isnan(value), value).alias("_quality"))
    priority = F.struct(
        F.col("crawl"),
        F.col("_quality").isNull().alias("without_quality"),
        (-F.col("_quality")).alias("quality_descending"),
        F.col("doc_id"),
    )
    return documents.join(measured, "doc_id", "left").select(*documents.columns, priority.alias("priority"))
