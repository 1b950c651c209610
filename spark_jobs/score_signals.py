"""Measure every signal on every extracted document; nothing is decided here.

A changed threshold then costs one scan of numbers, never another pass over the text.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas import configuration
from schemas.documents import DOCUMENTS
from spark_jobs.run_stage import Stage
from spark_jobs.signals import SIGNALS_TABLE, measure


class Config(configuration.Config):
    """Nothing to set: every signal is measured."""


def transform(documents: DataFrame, *, config: Config) -> DataFrame:
    """One row for each extracted document; only ids and texts go to the Python workers."""
    texts = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "text")
    return texts.mapInArrow(_measure_batches, SIGNALS_TABLE.spark()).select(*SIGNALS_TABLE.column_names)


def _measure_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield measure_batch(batch)


def measure_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """From columns doc_id, crawl and text to the columns of `signals`."""
    schema = SIGNALS_TABLE.arrow()
    rows = [measure(text) for text in batch.column("text").to_pylist()]
    columns = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(list(schema)[2:])]
    return pa.RecordBatch.from_arrays([batch.column("doc_id"), batch.column("crawl"), *columns], schema=schema)


STAGE = Stage(name="score_signals", reads=(DOCUMENTS,), writes=SIGNALS_TABLE, config=Config, transform=transform)
