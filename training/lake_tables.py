"""Rows for tables of the lake, appended without a JVM."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from schemas.contract import Table

RETRIES = 20
"""Commits by others that an append may lose against before it fails."""


def append_rows(lake: str, contract: Table, rows: list[dict[str, Any]]) -> None:
    """Append to a table; makes it, with its checks, where a lake has none yet."""
    uri = contract.uri(lake)
    if not DeltaTable.is_deltatable(uri):
        table = DeltaTable.create(
            uri, schema=contract.arrow(), mode="ignore", description=f"One row is {contract.grain}."
        )
        for check in contract.checks:
            table.alter.add_constraint({check.name: check.constraint()})
    write_deltalake(
        uri,
        pa.Table.from_pylist(rows, schema=contract.arrow()),
        mode="append",
        commit_properties=CommitProperties(max_commit_retries=RETRIES),
    )
