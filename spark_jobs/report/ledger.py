"""What the ledger says: the policy that decided, and how long each stage took with which code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import functions as F

from schemas.tables.runs import RUNS
from spark_jobs.lake.ledger import newest_rows
from spark_jobs.lake.tables import Tables
from spark_jobs.stages.decide import select_corpus
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.recorded_policy import recorded_policy


@dataclass(frozen=True)
class StageRun:
    """The newest run of a stage. `counts`, `inputs` and `models` are those of the ledger, `seconds` is wall-clock
    time."""

    stage: str
    crawl: str | None
    started_at: datetime
    seconds: float
    counts: dict[str, int]
    inputs: dict[str, str]
    models: dict[str, str]
    output: str
    output_version: int | None
    code_version: str


def newest_runs(tables: Tables) -> list[StageRun]:
    """The newest run of each stage, in the order in which they started."""
    rows = newest_rows(tables.of(RUNS), "stage").collect()
    return sorted(
        (
            StageRun(
                stage=row["stage"],
                crawl=row["crawl"],
                started_at=row["started_at"],
                seconds=row["seconds"],
                counts=json.loads(row["counts"]),
                inputs=json.loads(row["inputs"]),
                models=json.loads(row["models"]),
                output=row["output_table"],
                output_version=row["output_version"],
                code_version=row["code_version"],
            )
            for row in rows
        ),
        key=lambda run: (run.started_at, run.stage),
    )


@dataclass(frozen=True)
class SelectingPolicy:
    """The policy that decided. `lost` names what an older version recorded of it and this one cannot read, such as a
    rule on a signal that is gone."""

    policy: Policy
    is_default: bool = False
    lost: tuple[str, ...] = ()


def selecting_policy(tables: Tables) -> SelectingPolicy:
    """The policy of the newest selection; the default one where none has run."""
    newest = newest_rows(tables.of(RUNS).where(F.col("stage") == "select_corpus"), "stage").first()
    if newest is None:
        return SelectingPolicy(select_corpus.Config().policy, is_default=True)
    policy, lost = recorded_policy(json.loads(newest["config"]).get("policy", {}))
    return SelectingPolicy(policy, lost=lost)
