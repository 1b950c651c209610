"""The checks of a contract on rows that are about to be written, and on rows of tables that are older than a check.

Delta enforces the checks that a table was made with, and prints the values of a row that breaks one. A row's text must
not get into logs, so checks are made here first, and only the key of the row is told.
"""

from __future__ import annotations

import re

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.contract import Check, Table
from schemas.plumbing.errors import ContractError

LONGEST_KEY = 200
"""Characters of a key column's value that are told."""
_TOLD = re.compile(r"broken contract: (.*?)(?: SQLSTATE: \w+)?\s*(?:\n|$)")
_TOLD_BY_DELTA = re.compile(r"CHECK constraint (\w+) .*?violated by row with values:", re.DOTALL)


def with_checks(data: DataFrame, table: Table) -> DataFrame:
    """`data`; a row that breaks a check ends the job that comes to it.

    Nothing may be pushed below this filter, or rows would be judged that never come out: put it on `observe`, below
    which Spark pushes no filter.
    """
    if not table.checks:
        return data
    broken = [
        F.when(
            ~F.expr(check.condition),
            F.raise_error(F.concat(F.lit("broken contract: " + _what_is_broken(check, table)), key_of(table))).cast(
                "boolean"
            ),
        )
        for check in table.checks
    ]
    return data.where(F.coalesce(*broken, F.lit(True)))


def require_checks(data: DataFrame, table: Table, checks: list[Check]) -> None:
    """Raises `ContractError` where a stored row breaks one of `checks`, which its table was made without."""
    for check in checks:
        broken = data.where(~F.expr(check.condition)).select(key_of(table).alias("key")).first()
        if broken is not None:
            raise ContractError(
                f"{_what_is_broken(check, table)}{broken['key']}, which an older version wrote: write its crawl anew, "
                f"or begin a new lake"
            )


def broken_check(message: str) -> str | None:
    """What a failed job's message says of a broken check; None where it speaks of something else."""
    told = _TOLD.search(message)
    if told:
        return told[1]
    told = _TOLD_BY_DELTA.search(message)
    return f"check {told[1]} is broken; the stored table has it, the contract has not" if told else None


def key_of(table: Table) -> Column:
    """The values of the key columns of a row, named, on one line."""
    values = [
        F.concat(F.lit(f"{name}="), F.substring(F.coalesce(F.col(name).cast("string"), F.lit("null")), 1, LONGEST_KEY))
        for name in table.key
    ]
    return F.regexp_replace(F.concat_ws(", ", *values), r"\s+", " ")


def _what_is_broken(check: Check, table: Table) -> str:
    return f"check {check.name} ({check.condition}) is broken by the row of {table.name} with "
