"""Whether the safety gate was on when the documents were made, and how much it withheld: in red where it was off, in
amber where it had no lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import functions as F

from schemas.tables.quarantine import QUARANTINE
from schemas.tables.runs import RUNS
from spark_jobs.lake.ledger import newest_rows
from spark_jobs.lake.tables import Tables

_LISTS = ("keyword_lists", "sha256_lists", "md5_lists", "pdq_lists")


@dataclass(frozen=True)
class SafetyState:
    """`red`: the gate was off; `amber`: it had no list; `on`. `words` say so for people."""

    level: Literal["red", "amber", "on"]
    words: str


@dataclass(frozen=True)
class Safety:
    """The state for each crawl, and the records withheld by kind of evidence; a record may have several kinds."""

    states: tuple[tuple[str, SafetyState], ...]
    withheld: int
    evidence: tuple[tuple[str, int], ...]


def safety_state(config_json: str) -> SafetyState:
    """What the ledger's configuration of extract_text says of the gate."""
    safety = json.loads(config_json).get("safety", {})
    if safety.get("off"):
        return SafetyState("red", f"The safety gate was switched off. The reason given: {safety['off']}")
    lists = sum(len(safety.get(kind, ())) for kind in _LISTS)
    if lists == 0:
        return SafetyState("amber", "The safety gate has no lists, so that it could withhold nothing.")
    return SafetyState("on", f"The safety gate was on, with {lists} list{'s' if lists > 1 else ''}.")


def gather_safety(tables: Tables) -> Safety:
    newest = newest_rows(tables.of(RUNS).where(F.col("stage") == "extract_text"), "crawl")
    kinds = (
        tables.of(QUARANTINE).groupBy("evidence").agg(F.countDistinct("doc_id").alias("records")).orderBy("evidence")
    )
    return Safety(
        states=tuple((row["crawl"], safety_state(row["config"])) for row in newest.orderBy("crawl").collect()),
        withheld=tables.of(QUARANTINE).select("doc_id").distinct().count(),
        evidence=tuple((row["evidence"], row["records"]) for row in kinds.collect()),
    )
