"""From WARC files to documents: what each offered record became, with the main text of those that are pages.

Extraction runs in a child process of each worker, under a limit of time and memory for each page (see `text/extraction_sandbox.py`).
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator
from functools import cache

import pyarrow as pa
import xxhash
from pydantic import Field
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from schemas import configuration
from schemas.documents import DOCUMENTS
from schemas.warc_files import WARC_FILES
from spark_jobs import identify_language, read_warc
from spark_jobs.run_stage import Stage
from spark_jobs.text.extraction_sandbox import Extraction, ExtractionSandbox
from spark_jobs.text.urls import host_of, registered_domain

_LANGUAGE_COLUMNS = ("language", "language_score")
_TEXT_COLUMNS = tuple(column for column in DOCUMENTS.columns if column.name not in _LANGUAGE_COLUMNS)
_TEXT_DDL = ", ".join(f"{column.name} {column.type.replace('long', 'bigint')}" for column in _TEXT_COLUMNS)
_TEXT_ARROW = pa.schema([column.arrow().with_nullable(True) for column in _TEXT_COLUMNS])
_BATCH_ROWS = 64


class Config(configuration.Config):
    """How to make documents from WARC files."""

    extractor: str = Field(default="trafilatura", pattern=r"^(trafilatura(-fast|-precision)?|resiliparse|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")
    """`trafilatura`, `trafilatura-fast`, `trafilatura-precision`, `resiliparse` (ten times as fast, less exact), or `package.module:function`, which
    takes a page's characters and returns its text."""
    max_seconds: float = Field(default=30.0, gt=0, le=3600)
    """Wall-clock time for one page; beyond it the page fails with `timeout`."""
    max_memory_mib: int = Field(default=2048, ge=256)
    """Address space of the extracting process; a page that needs more fails with `out_of_memory`."""
    pages_per_child: int = Field(default=500, ge=1)
    """Pages after which the extracting process is replaced, because parsers keep caches that grow."""
    read: read_warc.Config = read_warc.Config()
    """How to read WARC files."""
    language: identify_language.Config = identify_language.Config()
    """How to identify languages."""


def transform(warc_files: DataFrame, *, config: Config, observation: Observation | None = None) -> DataFrame:
    """Documents, in contract order, of the files in `warc_files` (see `read_warc.warc_files`); `observation` counts all records by type."""
    found = read_warc.captures(warc_files, config.read, observation)
    return identify_language.add_language(extract(found, config), config.language).select(*DOCUMENTS.column_names)


def extract(captures: DataFrame, config: Config) -> DataFrame:
    """`captures` with their text, all columns of DOCUMENTS but the language."""
    settings = (config.extractor, config.max_seconds, config.max_memory_mib, config.pages_per_child)

    def extract_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sandbox = _sandbox(*settings)
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                rows = (document_row(row, sandbox, config.extractor) for row in batch.slice(start, _BATCH_ROWS).to_pylist())
                yield pa.RecordBatch.from_pylist(list(rows), schema=_TEXT_ARROW)

    return captures.mapInArrow(extract_batches, _TEXT_DDL)


def document_row(capture: dict[str, object], sandbox: ExtractionSandbox, extractor: str) -> dict[str, object]:
    """A capture as a row of DOCUMENTS without the language; only offered captures reach the sandbox."""
    row = {name: value for name, value in capture.items() if name != "body"}
    url, body, charset = capture["url"], capture["body"], capture["charset"]
    host = host_of(url if isinstance(url, str) else None)
    row |= {"host": host, "domain": registered_domain(host) if host else None, "charset": None}
    if isinstance(body, bytes):
        row["extractor"] = extractor
        row |= _outcome(sandbox.extract(body, charset if isinstance(charset, str) else None), capture["extract_detail"])
    return row


def _outcome(found: Extraction, note: object) -> dict[str, object]:
    """The extraction's columns; a note on the body's codings stays with pages that have text."""
    if found.reason is not None:
        return {"extract_status": "failed", "extract_reason": found.reason, "extract_detail": found.detail}
    facts: dict[str, object] = {"title": found.title, "charset": found.charset}
    if not found.text:
        return facts | {"extract_status": "skipped", "extract_reason": "no_text"}
    digest = xxhash.xxh3_128_hexdigest(found.text.encode())
    return facts | {"extract_status": "extracted", "extract_detail": note, "text": found.text, "text_hash": digest}


@cache
def _sandbox(extractor: str, max_seconds: float, max_memory_mib: int, pages_per_child: int) -> ExtractionSandbox:
    """One for the life of a worker, so that a task costs no start of a child."""
    sandbox = ExtractionSandbox(extractor, max_seconds=max_seconds, max_memory_mib=max_memory_mib, pages_per_child=pages_per_child)
    atexit.register(sandbox.stop)
    return sandbox


def status_counts() -> dict[str, Column]:
    """Documents by status, observed during the write."""
    return {status: F.count_if(F.col("extract_status") == status) for status in ("extracted", "skipped", "failed")}


STAGE = Stage(
    name="extract_text",
    reads=(WARC_FILES,),
    writes=DOCUMENTS,
    config=Config,
    transform=transform,
    counts=status_counts,
    observes_reading=True,
    models=lambda config: identify_language.language_models(config.language),
)
