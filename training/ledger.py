"""The training run's row in the lake's ledger, written last and without a JVM."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from schemas.plumbing.code_version import code_version
from schemas.plumbing.configuration import config_json
from schemas.tables.runs import RUNS
from training.config import TrainingConfig
from training.lake_tables import append_rows
from training.reading.delta_tokens import TokenTable

STAGE = "pretrain"


def record_run(
    lake: str,
    *,
    stage: str = STAGE,
    inputs: Mapping[str, str] | None = None,
    run_id: str,
    config: TrainingConfig,
    table: TokenTable,
    out: str,
    counts: dict[str, Any],
    started_at: datetime,
    seconds: float,
) -> None:
    """Append the row to `runs`; makes the table, with its checks, where a lake has none yet. `inputs` are what it
    read besides tokens."""
    read = json.dumps(
        {"tokens": str(table.version), "tokenizer": table.tokenizer.fingerprint, **(inputs or {})}, sort_keys=True
    )
    determined_by = json.dumps([stage, config_json(config), code_version("training"), read])
    row = {
        "run_id": run_id,
        "stage": stage,
        "crawl": None,
        "fingerprint": hashlib.sha256(determined_by.encode()).hexdigest(),
        "config": config_json(config),
        "code_version": code_version("training"),
        "inputs": read,
        "output_table": out,
        "output_version": None,
        "counts": json.dumps(counts, sort_keys=True),
        "models": "{}",
        "started_at": started_at,
        "seconds": seconds,
    }
    append_rows(lake, RUNS, [row])
