"""Captures of pages that have another capture: one stands for the page, whatever their texts are; no text is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import URL_DUPLICATES
from spark_jobs.kernels.gates.url_keys import same_page_key
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.priority import with_priority


class Config(configuration.Config):
    """Which of several captures of a page stands for it; one of an earlier crawl always does, so that later crawls
    undo nothing."""

    enabled: bool = False
    """Look for captures of equal pages; the policy's `duplicates.url` decides what becomes of them."""
    keep: Literal["first", "newest"] = "first"
    """Among captures of one crawl, `first` is that of the highest quality and `newest` that of the latest
    `fetched_at`."""
    quality: str = "gopher_quality_word_count"
    """Signal whose highest value comes first."""


def transform(documents: DataFrame, signals: DataFrame, *, config: Config) -> DataFrame:
    extracted = documents.where((F.col("extract_status") == "extracted") & F.col("url").isNotNull())
    pages = (
        extracted.select("doc_id", "crawl", "url")
        .mapInArrow(_key_batches, "doc_id string, crawl string, page string")
        .where(F.col("page").isNotNull())
    )
    if config.keep == "newest":
        signals = extracted.select("doc_id", F.unix_micros("fetched_at").alias("fetched_at"))
    ordered = with_priority(pages, signals, config.quality if config.keep == "first" else "fetched_at")
    # Aggregated before the shuffle, as equal texts are.
    first = (
        ordered.groupBy("page")
        .agg(F.min("priority").alias("first"), F.count(F.lit(1)).alias("captures"))
        .where(F.col("captures") > 1)
    )
    return (
        pages.join(first.select("page", F.col("first.doc_id").alias("representative_id")), "page")
        .where(F.col("doc_id") != F.col("representative_id"))
        .withColumn("rule", F.lit(f"same page, {config.keep}, version 1"))
        .select(*URL_DUPLICATES.column_names)
    )


def _key_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        keys = pa.array([same_page_key(url) for url in batch.column("url").to_pylist()], pa.string())
        yield pa.RecordBatch.from_arrays(
            [batch.column("doc_id"), batch.column("crawl"), keys], names=["doc_id", "crawl", "page"]
        )


STAGE = Stage(
    name="deduplicate_urls",
    reads=(DOCUMENTS, SIGNALS_TABLE),
    writes=URL_DUPLICATES,
    config=Config,
    transform=transform,
    scope="lake",
    enabled=lambda config: config.enabled,
)
