"""The register of what the safety gate withheld.

The gate itself is part of extraction (`kernels/gates/safety_gate.py`), so that nothing it withholds is written.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.quarantine import QUARANTINE
from spark_jobs.lake.stage import Stage

_EVIDENCE = "payload_sha256 string, matches array<struct<evidence: string, list: string, distance: int>>"


class Config(configuration.Config):
    """Nothing can be set: what the gate looks for is `extract_text.safety`."""


def transform(documents: DataFrame, *, config: Config) -> DataFrame:
    """One row for each list that a withheld record of `documents` matched, in contract order."""
    withheld = documents.where(F.col("safety_evidence").isNotNull())
    found = withheld.select("doc_id", "crawl", F.from_json("safety_evidence", _EVIDENCE).alias("found"))
    matches = found.select("doc_id", "crawl", "found.payload_sha256", F.explode("found.matches").alias("match"))
    return matches.select("doc_id", "crawl", "match.evidence", "match.list", "payload_sha256", "match.distance").select(
        *QUARANTINE.column_names
    )


def evidence_counts() -> Mapping[str, Column]:
    """Matches by kind of evidence, observed during the write."""
    return {kind: F.count_if(F.col("evidence") == kind) for kind in ("sha256", "md5", "pdq", "keyword")}


STAGE = Stage(
    name="screen_safety",
    reads=(DOCUMENTS,),
    writes=QUARANTINE,
    config=Config,
    transform=transform,
    counts=evidence_counts,
)
