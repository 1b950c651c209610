"""Contract-checked, idempotent reads and writes of the lake's Delta tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Table

COMMIT_NAME = re.compile(r"(\d{20})\.json")


def table_path(lake: str, table: Table) -> str:
    """Where the table is; absolute if local, because Spark SQL takes no other path for a table's name."""
    return table.uri(lake if "://" in lake else str(Path(lake).absolute()))


def table_exists(spark: SparkSession, lake: str, table: Table) -> bool:
    return DeltaTable.isDeltaTable(spark, table_path(lake, table))


def read_table(spark: SparkSession, lake: str, table: Table, *, version: int | None = None) -> DataFrame:
    """The table in contract order; raises `ContractError` where the stored schema differs."""
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    data = reader.load(table_path(lake, table))
    table.require(_types(data), f"the stored table {table_path(lake, table)}")
    return data.select(*table.column_names)


def write_table(
    data: DataFrame,
    lake: str,
    table: Table,
    *,
    append: bool = False,
    replace_where: str | None = None,
    observe: Mapping[str, Column] = MappingProxyType({}),
) -> tuple[int, dict[str, int]]:
    """Replace the table, or the rows that `replace_where` selects, or `append` to it, in one transaction; Delta
    refuses rows that break a CHECK.

    Repeating a killed write leaves the same rows, if what is appended is what the table lacks. Returns the committed
    Delta version, and of what was written `rows` and the aggregates of `observe`, gathered during the write without
    a second scan.
    """
    spark = data.sparkSession
    table.require(_types(data), f"the output for {table.name}")
    create_table(spark, lake, table)
    observation = Observation(f"write {table.name}")
    observed = data.select(*table.column_names).observe(observation, *_counts(observe))
    writer = observed.write.format("delta").mode("append" if append else "overwrite")
    if replace_where is not None:
        writer = writer.option("replaceWhere", replace_where)
    writer.save(table_path(lake, table))
    return current_version(spark, lake, table), dict(observation.get)


def count_rows(data: DataFrame, aggregates: Mapping[str, Column]) -> dict[str, int]:
    """`rows` and the aggregates of them."""
    counted = data.agg(*_counts(aggregates)).first()
    assert counted is not None
    return counted.asDict()


def append_rows(data: DataFrame, lake: str, table: Table) -> None:
    """Append; for the ledger only, whose rows are facts about the past."""
    table.require(_types(data), f"the output for {table.name}")
    create_table(data.sparkSession, lake, table)
    data.select(*table.column_names).write.format("delta").mode("append").save(table_path(lake, table))


def create_table(spark: SparkSession, lake: str, table: Table) -> None:
    """Create the table with its CHECK constraints in one commit, unless it exists."""
    path = table_path(lake, table)
    if DeltaTable.isDeltaTable(spark, path):
        return
    builder = (
        DeltaTable.createIfNotExists(spark)
        .location(path)
        .addColumns(table.spark())
        .comment(f"One row is {table.grain}.")
    )
    # No reader without a JVM can be misled: the plain protocol only.
    builder = builder.property("delta.enableDeletionVectors", "false")
    for check in table.checks:
        # What ALTER TABLE ADD CONSTRAINT would write, without its job and its commit for each.
        builder = builder.property(f"delta.constraints.{check.name}", check.constraint())
    if table.partition_by:
        builder = builder.partitionedBy(*table.partition_by)
    builder.execute()


def current_version(spark: SparkSession, lake: str, table: Table) -> int:
    """The newest version, told from the names in the log; the table's history would cost a job."""
    log = spark._jvm.org.apache.hadoop.fs.Path(f"{table_path(lake, table)}/_delta_log")
    files = log.getFileSystem(spark._jsc.hadoopConfiguration()).listStatus(log)
    commits = (COMMIT_NAME.fullmatch(file.getPath().getName()) for file in files)
    return max(int(commit[1]) for commit in commits if commit)


def _counts(aggregates: Mapping[str, Column]) -> list[Column]:
    return [F.count(F.lit(1)).alias("rows"), *(aggregate.alias(name) for name, aggregate in aggregates.items())]


def _types(data: DataFrame) -> dict[str, str]:
    return {name: type_name.replace("bigint", "long") for name, type_name in data.dtypes}
