"""How similar the texts of candidate pairs are: measured once, kept, and used by every policy and threshold.

What is stored is between texts, not documents, so it stays true whichever document carries a text. It only grows: a run
compares the pairs that no run before has compared. No text is read.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.tables.duplicates import CANDIDATE_PAIRS, SIMILARITIES
from schemas.tables.minhash import SIGNATURES
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.deduplicate.settings import Settings, settings


def transform(candidate_pairs: DataFrame, signatures: DataFrame, *, config: Settings) -> DataFrame:
    """All candidate pairs, compared."""
    return compared(candidate_pairs, signatures, config.scheme)


def grow(stored: DataFrame, candidate_pairs: DataFrame, signatures: DataFrame, *, config: Settings) -> DataFrame | None:
    """The candidate pairs that are not stored, compared; None where stored ones are of another scheme."""
    if not stored.where(F.col("scheme") != config.scheme).isEmpty():
        return None
    new = candidate_pairs.join(stored.select("text", "other"), on=["text", "other"], how="left_anti")
    return compared(new, signatures, config.scheme)


def compared(pairs: DataFrame, signatures: DataFrame, scheme: str) -> DataFrame:
    """The pairs with the exact Jaccard similarity of their sets of shingles."""
    first = signatures.select("doc_id", F.col("shingles").alias("first"))
    second = signatures.select(F.col("doc_id").alias("other_id"), F.col("shingles").alias("second"))
    common = F.size(F.array_intersect("first", "second"))
    return (
        pairs.join(first, on="doc_id", how="inner")
        .join(second, on="other_id", how="inner")
        .select("text", "other", (F.size("first") + F.size("second")).alias("sizes"), common.alias("common"))
        .withColumn("similarity", F.col("common") / (F.col("sizes") - F.col("common")))
        .select("text", "other", "similarity", F.lit(scheme).alias("scheme"))
    )


STAGE = Stage(
    name="compare_texts",
    reads=(CANDIDATE_PAIRS, SIGNATURES),
    writes=SIMILARITIES,
    config=None,
    settings=settings,
    transform=transform,
    grow=grow,
    scope="lake",
)
