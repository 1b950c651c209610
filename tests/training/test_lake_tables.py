"""Rows that a training run appends to tables of a lake, without a JVM."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.tables.incidents import INCIDENTS
from training.lake_tables import append_rows

LISTS = ("doc_ids", "sources", "tokens", "losses", "excesses", "repetitions")
INCIDENT = dict.fromkeys(INCIDENTS.column_names) | {
    **{name: [] for name in LISTS},
    "incident_id": "i",
    "run": "runs/1",
    "time": datetime(2026, 6, 1, tzinfo=UTC),
    "step": 777,
    "batch": 776,
    "batch_hash": "0e334b77a4",
    "kind": "gradient_norm",
    "action": "skip",
}


def test_the_first_incident_of_a_lake_is_written_and_later_ones_are_held_to_the_checks(tmp_path):
    lake = str(tmp_path)
    append_rows(lake, INCIDENTS, [INCIDENT])
    append_rows(lake, INCIDENTS, [INCIDENT | {"action": "roll_back", "rolled_back_to": 700}])
    for broken in ({"action": "roll_back"}, {"rolled_back_to": 700}, {"kind": "boredom"}, {"action": "shrug"}):
        with pytest.raises(DeltaError, match="failed validation"):
            append_rows(lake, INCIDENTS, [INCIDENT | broken])
    table = DeltaTable(INCIDENTS.uri(lake))
    assert table.to_pyarrow_table().num_rows == 2
    assert len([key for key in table.metadata().configuration if key.startswith("delta.constraints.")]) == 3
