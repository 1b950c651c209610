"""Any table of a lake, opened without a JVM: checked for its contract, and for what Parquet files alone do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSystem, LocalFileSystem, PyFileSystem, SubTreeFileSystem

from schemas.contract import Table
from schemas.plumbing.errors import UsageError

UNREADABLE_FEATURES = {
    "deletionVectors": "run REORG TABLE delta.`{uri}` APPLY (PURGE) and ALTER TABLE ... DROP FEATURE deletionVectors",
    "columnMapping": "set the table property delta.columnMapping.mode to 'none' (ALTER TABLE ... DROP FEATURE "
    "columnMapping)",
    "typeWidening": "run ALTER TABLE ... DROP FEATURE typeWidening",
}
"""Table features under which the Parquet files do not say what the table says, and what takes each away."""


def open_table(lake: str, contract: Table, version: int | None = None) -> DeltaTable:
    """A table of the lake, checked for its contract and for features that Parquet files alone do not show."""
    uri = contract.uri(lake)
    if "://" not in lake and not Path(lake).is_dir():
        raise UsageError(f"{lake}: there is no lake here")
    try:
        table = DeltaTable(uri, version=version)
    except TableNotFoundError:
        raise UsageError(f"{uri}: the lake has no table `{contract.name}`") from None
    except DeltaError as error:
        wanted = f" at version {version}" if version is not None else ""
        raise UsageError(f"{uri}: cannot be opened{wanted}: {' '.join(str(error).split())}") from None
    _refuse_unreadable(table, uri)
    found = {field.name: _type_name(field.type) for field in table.schema().fields}
    promised = {column.name: column.type for column in contract.columns}
    if found != promised:
        wrong = sorted(name for name in {*found, *promised} if found.get(name) != promised.get(name))
        raise UsageError(f"{uri}: does not fit the contract of `{contract.name}` in {', '.join(wrong)}")
    return table


def system_of(table: DeltaTable) -> FileSystem:
    """The folder of the table, local or in an object store, as pyarrow sees it."""
    return system_at(table.table_uri)


def system_at(uri: str) -> FileSystem:
    """The folder of a table by its URI. pyarrow reads local files itself, several times faster than through Delta's
    reader."""
    path = uri.removeprefix("file://")
    return SubTreeFileSystem(path, LocalFileSystem()) if "://" not in path else PyFileSystem(DeltaStorageHandler(uri))


def small_table_rows(table: DeltaTable) -> list[dict[str, Any]]:
    """All rows of a small table without partitions."""
    return [row for rows in file_rows(table) for row in rows.to_pylist()]


def file_rows(table: DeltaTable, columns: list[str] | None = None) -> list[pa.Table]:
    """The rows of each file of a table without partitions, in order of their paths."""
    files = system_of(table)
    paths = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
    return [pq.read_table(unquote(path), filesystem=files, columns=columns) for path in sorted(paths)]


def _refuse_unreadable(table: DeltaTable, uri: str) -> None:
    features = set(table.protocol().reader_features or ())
    properties = table.metadata().configuration
    if properties.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    for feature, remedy in UNREADABLE_FEATURES.items():
        if feature in features:
            raise UsageError(f"{uri}: uses {feature}, which the trainer cannot honour; {remedy.format(uri=uri)}")


def _type_name(kind: Any) -> str:
    """A Delta type as contracts name it."""
    if kind.type == "array":
        return f"array<{_type_name(kind.element_type)}>"
    return {"integer": "int"}.get(kind.type, kind.type)
