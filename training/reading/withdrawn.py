"""Which stored documents are not to be read any more, as the lake's table `withdrawn` says.

A reader knows the withdrawals below a number. Numbers and increments are never used again, so what is withdrawn
under a number is the same for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from schemas.plumbing.errors import UsageError
from schemas.tables.withdrawn import REWEIGHTED, WITHDRAWN
from training.order.plan import Plan
from training.reading.delta_table import file_rows, open_table

type Increments = frozenset[int]
"""Numbers of the increments that are read."""

ALWAYS = -1


@dataclass(frozen=True, eq=False)
class Withdrawn:
    """The first `count` withdrawals; arrays of N rows of the table, by doc_id. Threads share it."""

    count: int
    doc_ids: np.ndarray
    """bytes [N], ascending"""
    increments: np.ndarray
    """int64 [N]: the last increment whose copies are out"""
    unless_unread: np.ndarray
    """int64 [N]: the increment without which the copies are still the valid ones; `ALWAYS` where they never are"""
    numbers: np.ndarray
    """int64 [N]: the withdrawal"""
    tokens: np.ndarray
    """int64 [N]: stored tokens that it put out"""
    _found: dict[tuple[int, Increments], np.ndarray] = field(default_factory=dict, repr=False)

    def first(self, count: int) -> Withdrawn:
        """What was known when there were `count` withdrawals; `UsageError` where there are not so many."""
        if count > self.count:
            raise UsageError(
                f"`{WITHDRAWN.name}` has {self.count} withdrawals, and {count} were known when it was read before: it "
                f"is not the table of this run"
            )
        if count == self.count:
            return self
        return self._rows(count, self.numbers < count)

    def of(self, read: Increments) -> Withdrawn:
        """What concerns one who reads these increments."""
        return self._rows(self.count, np.isin(self.increments, [*read]) & self._holds(read))

    def are_out(self, doc_ids: Sequence[str], increment: int, read: Increments) -> np.ndarray:
        """bool [n]: whether the copies of documents in an increment are out for one who reads the increments
        `read`."""
        gone = self._doc_ids(increment, read)
        if not len(gone):
            return np.zeros(len(doc_ids), bool)
        wanted = np.array([doc_id.encode() for doc_id in doc_ids])
        return gone[np.minimum(np.searchsorted(gone, wanted), len(gone) - 1)] == wanted

    def concern(self, increment: int, read: Increments) -> bool:
        """Whether any copy in an increment is out."""
        return len(self._doc_ids(increment, read)) > 0

    def _doc_ids(self, increment: int, read: Increments) -> np.ndarray:
        key = (increment, read)
        if key not in self._found:
            self._found[key] = self.doc_ids[(self.increments >= increment) & self._holds(read)]
        return self._found[key]

    def _holds(self, read: Increments) -> np.ndarray:
        return (self.unless_unread == ALWAYS) | np.isin(self.unless_unread, [*read])

    def _rows(self, count: int, chosen: np.ndarray) -> Withdrawn:
        arrays = (self.doc_ids, self.increments, self.unless_unread, self.numbers, self.tokens)
        return Withdrawn(count, *(array[chosen] for array in arrays))


NOTHING = Withdrawn(0, np.empty(0, "S1"), *(np.empty(0, np.int64) for _ in range(4)))


def read_withdrawn(lake: str) -> Withdrawn:
    """All withdrawals of a lake; a lake without the table has none."""
    if not DeltaTable.is_deltatable(WITHDRAWN.uri(lake)):
        return NOTHING
    columns = ["doc_id", "increment", "withdrawal", "n_tokens", "reason", "replaced_by"]
    files = file_rows(open_table(lake, WITHDRAWN), columns)
    rows = pa.concat_tables(files) if files else WITHDRAWN.arrow().empty_table()
    if not rows.num_rows:
        return NOTHING
    # Ids are compared as the bytes of their UTF-8.
    doc_ids = np.array([doc_id.encode() for doc_id in rows["doc_id"].to_pylist()])
    order = np.argsort(doc_ids, kind="stable")
    increments, numbers, tokens = (
        rows[name].to_numpy().astype(np.int64) for name in ("increment", "withdrawal", "n_tokens")
    )
    replaced_by = rows["replaced_by"].fill_null(ALWAYS).to_numpy().astype(np.int64)
    unless_unread = np.where(rows["reason"].to_numpy() == REWEIGHTED, replaced_by, ALWAYS)
    arrays = (array[order] for array in (doc_ids, increments, unless_unread, numbers, tokens))
    return Withdrawn(int(numbers.max()) + 1, *arrays)


def increments_read(plan: Plan, batch: int) -> Increments:
    """The increments that are read in the stage of a batch."""
    version = plan.stage_of(batch).tokens_version
    return frozenset(part.number for part in plan.parts if part.tokens_version <= version)
