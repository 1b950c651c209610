"""What a decision looks at, on Spark: a few columns of several tables, joined by id and without any text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.stages.decide.decide import Source


def joined(sources: Iterable[Source], tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row for each row of the first source, with the columns and flags of all."""
    parts = []
    for source in sources:
        flag = [F.lit(True).alias(source.flag)] if source.flag else []
        rows = tables[source.table.name].select("doc_id", *source.columns, *flag)
        parts.append(_lists(rows, source.columns) if source.many else rows)
    first, *others = parts
    for other in others:
        first = first.join(other, on="doc_id", how="left")
    return first


def _lists(rows: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    """One row a document; each column becomes the list of its values, the rows of a document in one order."""
    gathered = rows.groupBy("doc_id").agg(F.array_sort(F.collect_list(F.struct(*columns))).alias("rows"))
    return gathered.select("doc_id", *(F.col(f"rows.{name}").alias(name) for name in columns))
