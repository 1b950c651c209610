"""A write of a Delta table in two steps: its files first, and the commit when what they hold has been checked.

Delta's own interfaces write and commit in one call. Here Delta's write command is handed a transaction that is
committed later, so constraints, replaced ranges, statistics and conflicts are Delta's own affair. Files of a
transaction that is never committed belong to no version of the table: no reader sees them, and VACUUM removes them.

This file alone touches classes of Delta that are not its public interface; `session.py` says of which version.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyspark.sql import DataFrame, SparkSession


class Transaction:
    """A transaction on an existing table, from the version that is its newest now."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark = spark
        self._log = _delta(spark).DeltaLog.forTable(spark._jsparkSession, path)
        self._transaction = self._log.startTransaction()
        self._written: Any = None
        self._operation: Any = None

    @property
    def read_version(self) -> int:
        """The version that the table has without what is written here."""
        return self._transaction.readVersion()

    def write(
        self,
        data: DataFrame,
        *,
        append: bool = False,
        replace_where: str | None = None,
        application: tuple[str, int] | None = None,
    ) -> None:
        """Write the files that replace the table, or the rows that `replace_where` selects, or are appended to it.

        `application` is a name and a number that the commit leaves in the log for `last_application`. An append is
        refused at the commit if anything was committed since `read_version`: what it lacks was told from that.
        """
        spark, none = self._spark, self._spark._jvm.scala.Option.empty
        mode = getattr(spark._jvm.org.apache.spark.sql.SaveMode, "Append" if append else "Overwrite")
        settings = {} if replace_where is None else {"replaceWhere": replace_where}
        if application is not None:
            settings |= {"txnAppId": application[0], "txnVersion": str(application[1])}
        to_scala = spark._jvm.org.apache.spark.api.python.PythonUtils
        delta = _delta(spark)
        options = delta.DeltaOptions(to_scala.toScalaMap(settings), spark._jsparkSession.sessionState().conf())
        command = delta.commands.WriteIntoDelta(
            self._log, mode, options, to_scala.toSeq([]), to_scala.toScalaMap({}), data._jdf, none(), none(), False
        )
        if append:
            self._transaction.readWholeTable()
        self._written = command.writeAndReturnCommitData(self._transaction, spark._jsparkSession, none(), False)
        operation = getattr(delta, "DeltaOperations$Write")
        self._operation = operation(mode, none(), options.replaceWhere(), *(none() for _ in range(6)))

    def added(self) -> DataFrame:
        """The rows that were written and are not committed yet."""
        actions = self._written.actions().iterator()
        files = []
        while actions.hasNext():
            action = actions.next()
            if action.getClass().getSimpleName() == "AddFile":
                files.append(action)
        rows = self._log.createDataFrame(
            self._transaction.snapshot(),
            self._spark._jvm.org.apache.spark.api.python.PythonUtils.toSeq(files),
            False,
            self._spark._jvm.scala.Option.empty(),
        )
        return DataFrame(rows, self._spark)

    def commit(self) -> int:
        """Make what was written the newest version, which is returned. Raises Delta's error where another commit
        conflicts with this one."""
        version = self._transaction.commitIfNeeded(self._written.actions(), self._operation, self._written.stringTags())
        return version.get() if version.isDefined() else self.read_version


def last_application(spark: SparkSession, path: str, name: str) -> int | None:
    """The number that the newest commit of that application left in the table's log; None where it has none."""
    number = _newest_snapshot(spark, path).transactions().get(name)
    return number.get() if number.isDefined() else None


def missing_properties(spark: SparkSession, path: str, names: Iterable[str]) -> set[str]:
    """Those of the names that are no property of the table."""
    properties = _newest_snapshot(spark, path).metadata().configuration()
    return {name for name in names if not properties.contains(name)}


def _newest_snapshot(spark: SparkSession, path: str) -> Any:
    none = spark._jvm.scala.Option.empty
    return _delta(spark).DeltaLog.forTable(spark._jsparkSession, path).update(False, none(), none())


def _delta(spark: SparkSession) -> Any:
    return spark._jvm.org.apache.spark.sql.delta
