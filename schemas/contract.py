"""One declaration of a table, and every form of it that an engine or a reader needs.

A `Table` states its grain, columns and checks once; Spark, Arrow, Delta DDL, CHECK constraints and the documentation
are all derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from schemas.plumbing.errors import ContractError as ContractError

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its Spark SQL type name, what it means, and whether it may be null."""

    name: str
    type: str
    description: str
    nullable: bool = False

    def arrow(self) -> pa.Field:
        return pa.field(self.name, _arrow_type(self.type), nullable=self.nullable)


@dataclass(frozen=True, kw_only=True)
class Check:
    """An SQL condition that every row meets; NULL counts as met, as in SQL."""

    name: str
    condition: str

    def constraint(self) -> str:
        """The condition as Delta has to be given it: Delta alone takes NULL for a violation."""
        return f"({self.condition}) IS NOT FALSE"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the lake. `grain` completes the sentence "One row is ..."."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    partition_by: tuple[str, ...] = ()
    asked: str = ""
    """What it answers, for the README and the reference. Tables that answer one question together have the same
    words."""
    explained: bool = True
    """Whether `corpus explain` tells the rows of a document, in a table that has a doc_id."""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = {name for name in names if names.count(name) > 1}
        unknown = set(self.key + self.partition_by) - set(names)
        if repeated or unknown:
            raise ContractError(
                f"{self.name}: repeated columns {sorted(repeated)}, unknown key or partition columns {sorted(unknown)}"
            )
        for column in self.columns:
            _arrow_type(column.type)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def uri(self, lake: str) -> str:
        """Where the table is in a lake, which is a folder or the address of one."""
        return f"{lake.rstrip('/')}/{self.name}"

    def arrow(self) -> pa.Schema:
        return pa.schema([column.arrow() for column in self.columns])

    def spark(self) -> StructType:
        from pyspark.sql.types import StructType

        schema = StructType()
        for column in self.columns:
            schema.add(column.name, _spark_type(column.type), column.nullable, {"comment": column.description})
        return schema

    def ddl(self) -> str:
        """The column list of a CREATE TABLE statement."""
        return ",\n".join(
            f"{column.name} {column.type.upper()}{'' if column.nullable else ' NOT NULL'}" for column in self.columns
        )

    def markdown(self) -> str:
        """A section of the reference documentation."""
        rows = [
            f"| `{c.name}` | {c.type}{'' if not c.nullable else ', nullable'} | {c.description} |" for c in self.columns
        ]
        lines = [f"## `{self.name}`", "", f"One row is {self.grain}. Key: {', '.join(f'`{k}`' for k in self.key)}."]
        if self.asked:
            lines.append(f"It answers: {self.asked}.")
        if self.partition_by:
            lines.append(f"Partitioned by {', '.join(f'`{p}`' for p in self.partition_by)}.")
        lines += ["", "| column | type | meaning |", "| --- | --- | --- |", *rows, ""]
        if self.checks:
            lines += ["| check | condition |", "| --- | --- |"]
            lines += [f"| `{check.name}` | `{check.condition}` |" for check in self.checks]
            lines.append("")
        return "\n".join(lines)

    def require(self, found: dict[str, str], where: str) -> None:
        """Compare column names and Spark type names with the contract; raise `ContractError` that lists every
        difference."""
        promised = {column.name: column.type for column in self.columns}
        missing = [name for name in promised if name not in found]
        unexpected = [name for name in found if name not in promised]
        changed = [f"{n} is {found[n]}, not {t}" for n, t in promised.items() if n in found and found[n] != t]
        if missing or unexpected or changed:
            raise ContractError(
                f"{where} does not fit the contract of {self.name}: missing {missing}, unexpected {unexpected}, "
                f"changed {changed}"
            )


def _element_type(type_name: str) -> str | None:
    """The element type of `array<...>`, or None for a scalar."""
    return type_name[len("array<") : -1] if type_name.startswith("array<") and type_name.endswith(">") else None


def _arrow_type(type_name: str) -> pa.DataType:
    element = _element_type(type_name)
    if element is not None:
        return pa.list_(_arrow_type(element))
    if type_name not in ARROW_TYPES:
        raise ContractError(
            f"unknown column type {type_name!r}; known are {sorted(ARROW_TYPES)} and array<...> of them"
        )
    return ARROW_TYPES[type_name]


def _spark_type(type_name: str):  # type: ignore[no-untyped-def]
    from pyspark.sql import types as t

    element = _element_type(type_name)
    if element is not None:
        return t.ArrayType(_spark_type(element), containsNull=False)
    scalars = {
        "string": t.StringType,
        "binary": t.BinaryType,
        "boolean": t.BooleanType,
        "int": t.IntegerType,
        "long": t.LongType,
        "float": t.FloatType,
        "double": t.DoubleType,
        "timestamp": t.TimestampType,
    }
    return scalars[type_name]()
