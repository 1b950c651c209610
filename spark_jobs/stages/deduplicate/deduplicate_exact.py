"""Documents whose text equals that of an earlier one, found by the hash of the text; no text is read."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import EXACT_DUPLICATES
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.priority import with_priority

RULE = "equal text_hash, version 1"


class Config(configuration.Config):
    """Which of several equal documents stays."""

    quality: str = "gopher_quality_word_count"
    """Signal whose highest value wins among documents of one crawl."""


def transform(documents: DataFrame, signals: DataFrame, *, config: Config) -> DataFrame:
    extracted = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "text_hash")
    ordered = with_priority(extracted, signals, config.quality)
    # Aggregated before the shuffle: a text that half of the web repeats is one row from each task.
    first = (
        ordered.groupBy("text_hash")
        .agg(F.min("priority").alias("first"), F.count(F.lit(1)).alias("copies"))
        .where(F.col("copies") > 1)
    )
    return (
        extracted.join(first.select("text_hash", F.col("first.doc_id").alias("representative_id")), "text_hash")
        .where(F.col("doc_id") != F.col("representative_id"))
        .select("doc_id", "crawl", "representative_id", F.lit(1.0).alias("similarity"), F.lit(RULE).alias("rule"))
    )


STAGE = Stage(
    name="deduplicate_exact",
    reads=(DOCUMENTS, SIGNALS_TABLE),
    writes=EXACT_DUPLICATES,
    config=Config,
    transform=transform,
    scope="lake",
)
