"""Measure every line of every extracted document, as RedPajama-V2 does, for rules of one's own on lines; nothing
reads it here. Off unless `enabled`."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.line_signals import LINE_SIGNALS
from spark_jobs.kernels.measures.line_measures import measure_lines
from spark_jobs.lake.batches import batch_of_rows, map_batches
from spark_jobs.lake.stage import Stage


class Config(configuration.Config):
    """Whether lines are measured."""

    enabled: bool = False
    """Whether they are."""


def transform(documents: DataFrame, *, config: Config) -> DataFrame:
    texts = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "text")
    return map_batches(texts, measure_batch, LINE_SIGNALS)


def measure_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """From columns doc_id, crawl and text to those of `line_signals`."""
    documents = zip(*(batch.column(name).to_pylist() for name in ("doc_id", "crawl", "text")), strict=True)
    return batch_of_rows(((doc_id, crawl, *measure_lines(text)) for doc_id, crawl, text in documents), LINE_SIGNALS)


STAGE = Stage(
    name="score_lines",
    reads=(DOCUMENTS,),
    writes=LINE_SIGNALS,
    config=Config,
    transform=transform,
    enabled=lambda config: config.enabled,
)
