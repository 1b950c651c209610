"""Contract-checked, idempotent reads and writes of the lake's Delta tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Check, ContractError, Table
from spark_jobs.lake.checks import with_checks
from spark_jobs.lake.transaction import Transaction, missing_properties

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
    verify: Callable[[dict[str, int]], None] = lambda counts: None,
    application: tuple[str, int] | None = None,
    since: int | None = None,
    standing: Callable[[DataFrame], DataFrame] = lambda rows: rows,
) -> tuple[int, dict[str, int]]:
    """Replace the table, or the rows that `replace_where` selects, or `append` to it, in one transaction.

    Gives the version that was committed, and counts: `rows` and the aggregates of `observe`, gathered during the
    write without a second scan. For an append they are those of the rows that are `standing` in the table as it
    becomes, which are scanned, and `appended_rows`. `verify` gets the counts before the commit: what it raises
    leaves the table at its version. So does a row that breaks a check, whose key the error names.

    Repeating a killed write leaves the same rows, if what is appended is what the table lacks. `since` is the version
    from which that was told; an append to another one is refused, as `ContractError` or as Delta's conflict.
    `application` is left in the log for `last_application`.
    """
    spark = data.sparkSession
    table.require(_types(data), f"the output for {table.name}")
    create_table(spark, lake, table)
    observation = Observation(f"write {table.name}")
    observed = data.select(*table.column_names).observe(observation, *_counts(observe))
    transaction = Transaction(spark, table_path(lake, table))
    if since is not None and since != transaction.read_version:
        raise ContractError(
            f"{table.name}: another run has written version {transaction.read_version}, and what is to be appended was "
            f"told from version {since}"
        )
    transaction.write(with_checks(observed, table), append=append, replace_where=replace_where, application=application)
    counts = dict(observation.get)
    if append:
        stored = read_table(spark, lake, table, version=transaction.read_version)
        becomes = standing(stored.union(transaction.added().select(*table.column_names)))
        whole = becomes.agg(*_counts(observe)).first()
        assert whole is not None
        counts = {"appended_rows": counts["rows"], **whole.asDict()}
    verify(counts)
    return transaction.commit(), counts


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
        builder = builder.property(_property(check), check.constraint())
    if table.partition_by:
        builder = builder.partitionedBy(*table.partition_by)
    builder.execute()


def missing_checks(spark: SparkSession, lake: str, table: Table) -> list[Check]:
    """Checks of the contract that the stored table was made without, by an older version."""
    missing = missing_properties(spark, table_path(lake, table), map(_property, table.checks))
    return [check for check in table.checks if _property(check) in missing]


def current_version(spark: SparkSession, lake: str, table: Table) -> int:
    """The newest version, told from the names in the log; the table's history would cost a job."""
    log = spark._jvm.org.apache.hadoop.fs.Path(f"{table_path(lake, table)}/_delta_log")
    files = log.getFileSystem(spark._jsc.hadoopConfiguration()).listStatus(log)
    commits = (COMMIT_NAME.fullmatch(file.getPath().getName()) for file in files)
    return max(int(commit[1]) for commit in commits if commit)


def _property(check: Check) -> str:
    return f"delta.constraints.{check.name}"


def _counts(aggregates: Mapping[str, Column]) -> list[Column]:
    return [F.count(F.lit(1)).alias("rows"), *(aggregate.alias(name) for name, aggregate in aggregates.items())]


def _types(data: DataFrame) -> dict[str, str]:
    return {name: type_name.replace("bigint", "long") for name, type_name in data.dtypes}
