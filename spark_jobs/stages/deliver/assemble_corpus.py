"""Put the kept documents into the corpus that tokenizers and training read, with all edits of their texts applied at
once.

Spans move to the texts, never the texts to the spans. A document that its edits leave without text does not enter;
`record_emptied` says so of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from schemas.contract import ContractError
from schemas.plumbing import configuration
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.spans import LINE_SPANS, PII_SPANS, REPEATED_SPANS
from spark_jobs.kernels.span_edits import Span, apply_spans
from spark_jobs.kernels.text_hash import text_hash
from spark_jobs.lake.session import on_every_worker
from spark_jobs.lake.stage import Lake, Stage


class Config(configuration.Config):
    """How the corpus presents itself to training."""

    source: str = Field(default="web", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name under which a training plan weights these documents."""


def transform(
    documents: DataFrame,
    decisions: DataFrame,
    line_spans: DataFrame,
    repeated_spans: DataFrame,
    pii_spans: DataFrame,
    *,
    config: Config,
    observation: Observation | None = None,
) -> DataFrame:
    """The kept documents with their edited texts; `observation` counts those that are edited and those that are left
    empty."""
    kept = decisions.where(F.col("outcome") == "kept").select("doc_id", "weight", "bucket")
    kept = kept.join(spans_of_documents(line_spans, repeated_spans, pii_spans), "doc_id", how="left")
    columns = ("doc_id", "crawl", "url", "domain", "language", "text", "warc_path", "warc_offset")
    texts = documents.where(F.col("extract_status") == "extracted").select(*columns)
    entering = (
        texts.join(on_every_worker(kept), on="doc_id", how="inner")
        .withColumn("source", F.lit(config.source))
        .select(*(name for name in CORPUS.column_names if name != "text_hash"), "spans")
        .mapInArrow(_edit_batches, CORPUS.spark().add("edited", "boolean"))
    )
    if observation is not None:
        entering = entering.observe(observation, *(count.alias(name) for name, count in edit_counts().items()))
    return entering.where(F.col("text") != "").select(*CORPUS.column_names)


def spans_of_documents(*tables: DataFrame) -> DataFrame:
    """(doc_id, spans) from tables of spans; numbers and placeholders only."""
    all_spans = reduce(DataFrame.union, (table.select("doc_id", "start", "end", "replacement") for table in tables))
    return all_spans.groupBy("doc_id").agg(F.collect_list(F.struct("start", "end", "replacement")).alias("spans"))


def _edit_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield edit_batch(batch)


def edit_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """From the columns of `corpus` but the hash, and `spans`, to all of `corpus`, the text edited, and `edited`; a
    text of white space alone becomes empty."""
    spans = batch.column("spans").to_pylist()
    texts = batch.column("text").to_pylist()
    edited = [_edited(text, found) if found else text for text, found in zip(texts, spans, strict=True)]
    columns = dict(zip(batch.schema.names, batch.columns, strict=True)) | {
        "text": pa.array(edited, pa.string()),
        "text_hash": pa.array([text_hash(text) for text in edited], pa.string()),
        "edited": pa.array([bool(found) for found in spans], pa.bool_()),
    }
    return pa.RecordBatch.from_pydict({name: columns[name] for name in (*CORPUS.column_names, "edited")})


def _edited(text: str, spans: list[dict[str, int | str]]) -> str:
    return apply_spans(text, (Span(**span) for span in spans)).strip()


def edit_counts() -> Mapping[str, Column]:
    return {"edited": F.count_if("edited"), "left_empty": F.count_if(F.col("text") == "")}


def require_every_kept_document(lake: Lake, counts: Mapping[str, int]) -> None:
    """Raises `ContractError` unless each kept document of the crawl enters, or its edits leave nothing of it."""
    kept = lake.read(DECISIONS, "crawl").where(F.col("outcome") == "kept").count()
    if kept != counts["rows"] + counts["left_empty"]:
        raise ContractError(
            f"assemble_corpus: {kept} documents are kept, but {counts['rows']} enter the corpus and "
            f"{counts['left_empty']} are left empty by their edits"
        )


STAGE = Stage(
    name="assemble_corpus",
    reads=(DOCUMENTS, DECISIONS, LINE_SPANS, REPEATED_SPANS, PII_SPANS),
    writes=CORPUS,
    config=Config,
    transform=transform,
    observes_reading=True,
    verify=require_every_kept_document,
)
