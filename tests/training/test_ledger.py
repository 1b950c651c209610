"""The training run's row in `runs`, in a lake with or without the table, and under the table's own checks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.plumbing.configuration import config_json
from training.config import load_recipe
from training.ledger import record_run
from training.reading.delta_tokens import open_tokens


def record(lake: Path, tokens_lake: Path, run_id: str, seconds: float) -> None:
    record_run(
        str(lake),
        run_id=run_id,
        config=load_recipe("tiny_cpu"),
        table=open_tokens(str(tokens_lake), None),
        out="runs/tiny",
        counts={"steps": 3, "first_loss": 8.25},
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        seconds=seconds,
    )


def test_rows_are_added_and_the_table_refuses_what_its_checks_forbid(tmp_path: Path, lake: Path) -> None:
    record(tmp_path, lake, "first", 1.5)
    record(tmp_path, lake, "second", 0.0)
    with pytest.raises(DeltaError):
        record(tmp_path, lake, "third", -1.0)
    rows = sorted(
        pa.table(DeltaTable(str(tmp_path / "runs")).to_pyarrow_table()).to_pylist(), key=lambda row: row["run_id"]
    )
    assert [row["run_id"] for row in rows] == ["first", "second"]
    assert rows[0]["stage"] == "pretrain"
    assert rows[0]["config"] == config_json(load_recipe("tiny_cpu"))
    assert json.loads(rows[0]["inputs"])["tokens"] == "2"
    assert json.loads(rows[0]["counts"]) == {"steps": 3, "first_loss": 8.25}
    assert rows[0]["started_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert rows[0]["fingerprint"] == rows[1]["fingerprint"]
