"""Measure every line of every extracted document, as RedPajama-V2 does, for rules of one's own on lines; nothing
reads it here. Off unless `enabled`."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.line_signals import LINE_SIGNALS
from spark_jobs.kernels.measures.line_measures import measure_lines
from spark_jobs.lake.stage import Stage


class Config(configuration.Config):
    """Whether lines are measured."""

    enabled: bool = False
    """Whether they are."""


def transform(documents: DataFrame, *, config: Config) -> DataFrame:
    texts = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "text")
    return texts.mapInArrow(_measure_batches, LINE_SIGNALS.spark()).select(*LINE_SIGNALS.column_names)


def _measure_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield measure_batch(batch)


def measure_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """From columns doc_id, crawl and text to those of `line_signals`."""
    schema = LINE_SIGNALS.arrow()
    rows = [measure_lines(text) for text in batch.column("text").to_pylist()]
    columns = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(list(schema)[2:])]
    return pa.RecordBatch.from_arrays([batch.column("doc_id"), batch.column("crawl"), *columns], schema=schema)


STAGE = Stage(
    name="score_lines",
    reads=(DOCUMENTS,),
    writes=LINE_SIGNALS,
    config=Config,
    transform=transform,
    enabled=lambda config: config.enabled,
)
