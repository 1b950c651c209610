"""A few columns of the lake's tables in memory, read without Spark: for questions about numbers that should be
answered while someone waits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from schemas.contract import Table
from schemas.plumbing.errors import UsageError
from schemas.tables.runs import RUNS


@dataclass(frozen=True)
class LakeColumns:
    """The lake as it is when each table is read; `versions` gathers which version that was, None for a table that it
    does not have."""

    lake: str
    crawl: str | None = None
    """Confines tables that know their crawl to it."""
    sample: float = 1.0
    """Share of documents, chosen by doc_id: a smaller sample is a part of every larger one."""
    versions: dict[str, int | None] = field(default_factory=dict)

    def read(self, table: Table, columns: Iterable[str]) -> pa.Table:
        """The columns of the table; no rows where the lake does not have it. Raises `UsageError` where they cannot
        be read rightly."""
        names = list(dict.fromkeys(columns))
        # The schemes of Hadoop and of Delta's own library differ.
        uri = table.uri(self.lake).replace("s3a://", "s3://")
        try:
            stored = DeltaTable(uri)
            if stored.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
                raise UsageError(f"{uri}: uses column mapping, under which its files do not say what the table says")
            missing = sorted(set(names) - {column.name for column in stored.schema().fields})
            if missing:
                raise UsageError(f"{uri}: was written without {', '.join(missing)}; run its stage again")
            data = stored.to_pyarrow_dataset().to_table(names, filter=self._filter(table))
        except TableNotFoundError:
            self.versions[table.name] = None
            return table.arrow().empty_table().select(names)
        except (DeltaError, OSError) as error:
            raise UsageError(f"{uri}: cannot be read: {' '.join(str(error).split())}") from None
        self.versions[table.name] = stored.version()
        return data

    def newest_settings(self, stage: str) -> dict[str, Any] | None:
        """What the newest run of a stage ran under, of whichever crawl; None where it has not run."""
        runs = self.read(RUNS, ("stage", "started_at", "run_id", "config"))
        runs = runs.filter(pc.equal(runs["stage"], stage))
        newest = runs.sort_by([("started_at", "descending"), ("run_id", "descending")])["config"].slice(0, 1)
        return json.loads(newest[0].as_py()) if len(newest) else None

    def _filter(self, table: Table) -> pc.Expression | None:
        conditions = []
        if self.sample < 1 and "doc_id" in table.column_names:
            # Ids are hashes in hex, so their first digits are uniform numbers.
            conditions.append(pc.field("doc_id") < f"{round(self.sample * 16**8):08x}")
        if self.crawl is not None and "crawl" in table.column_names:
            conditions.append((pc.field("crawl") == self.crawl) | pc.field("crawl").is_null())
        if not conditions:
            return None
        return conditions[0] if len(conditions) == 1 else conditions[0] & conditions[1]


def join_columns(left: pa.Table, right: pa.Table, columns: Sequence[str], flag: str | None) -> pa.Table:
    """`left` with the columns of the row of `right` that has the same doc_id, null where none has; `flag` names a
    column that tells which it is."""
    row = pc.index_in(left["doc_id"], value_set=right["doc_id"].combine_chunks())
    found = right.select(list(columns)).take(row)
    for name in columns:
        left = left.append_column(name, found[name])
    return left.append_column(flag, row.is_valid()) if flag else left


def lists_by_document(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """One row a document; each column becomes the list of its values."""
    grouped = rows.group_by("doc_id", use_threads=False).aggregate([(name, "list") for name in columns])
    return pa.table({"doc_id": grouped["doc_id"], **{name: grouped[f"{name}_list"] for name in columns}})
