"""From WARC files to documents: what each offered record became, with the main text of those that are pages.

One pass in one worker a file: gates that need no body, the gate's lists, extraction, rights, language. Extraction
runs in a child process of the worker, under a limit of time and memory for each page (see
`kernels/pages/extraction_sandbox.py`). What the safety gate withholds leaves nothing but its address.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.warc_files import WARC_FILES
from spark_jobs.kernels.archives.warc import ArchiveRecord
from spark_jobs.kernels.gates.safety_gate import Config as SafetyGateConfig
from spark_jobs.kernels.gates.safety_gate import evidence_json, load_safety_gate, safety_lists
from spark_jobs.kernels.gates.url_gate import Config as UrlGateConfig
from spark_jobs.kernels.gates.url_gate import load_url_gate, url_lists
from spark_jobs.kernels.gates.urls import host_of, registered_domain
from spark_jobs.kernels.pages.extraction_sandbox import Extraction, ExtractionSandbox
from spark_jobs.kernels.pages.html import clean_text, decode_html
from spark_jobs.kernels.pages.page_gate import QUARANTINED, Offer, offer
from spark_jobs.kernels.pages.rights import page_rights
from spark_jobs.kernels.text_hash import text_hash
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.read import identify_language, read_warc

_DDL = ", ".join(f"{column.name} {column.type.replace('long', 'bigint')}" for column in DOCUMENTS.columns)
_ARROW = pa.schema([column.arrow().with_nullable(True) for column in DOCUMENTS.columns])
_BATCH_ROWS = 256
_BATCH_CHARACTERS = 8 << 20
_WITHHELD_COLUMNS = ("doc_id", "crawl", "warc_path", "warc_offset", "warc_length", "record_type")
"""All that documents say of a record which the safety gate withholds: enough to find it, nothing of what it is."""

type Row = dict[str, object]


class Config(configuration.Config):
    """How to make documents from WARC files."""

    extractor: str = Field(
        default="headwater",
        pattern=r"^(headwater(-markdown)?|trafilatura(-fast|-precision)?|resiliparse|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$",
    )
    """`headwater` (this project's own, chosen on pages of many kinds), `headwater-markdown` (the same with headings,
    lists, code and tables marked), `trafilatura`, `trafilatura-fast`, `trafilatura-precision`, `resiliparse` (the
    fastest, less exact), or `package.module:function`, which takes a page's characters and returns its text."""
    min_words: int = Field(default=0, ge=0)
    """For slow extractors (trafilatura and one's own): pages with fewer words in all are left to the fastest,
    because a policy's own minimum of words rejects them whatever is found."""
    max_seconds: float = Field(default=30.0, gt=0, le=3600)
    """Wall-clock time for one page; beyond it the page fails with `timeout`."""
    max_memory_mib: int = Field(default=2048, ge=256)
    """Address space of the extracting process; a page that needs more fails with `out_of_memory`."""
    pages_per_child: int = Field(default=500, ge=1)
    """Pages after which the extracting process is replaced, because parsers keep caches that grow."""
    max_resident_mib: int = Field(default=768, ge=128)
    """Resident memory beyond which the extracting process is replaced after the page that it has done."""
    read: read_warc.Config = read_warc.Config()
    """How to read WARC files."""
    url_gate: UrlGateConfig = UrlGateConfig()
    """Lists of URLs that are refused."""
    safety: SafetyGateConfig = SafetyGateConfig()
    """What the safety gate looks for."""
    language: identify_language.Config = identify_language.Config()
    """How to identify languages."""


def transform(warc_files: DataFrame, *, config: Config, observation: Observation | None = None) -> DataFrame:
    """Documents, in contract order, of the files in `warc_files` (see `read_warc.warc_files`); `observation` counts
    all records by type."""

    def extract(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.to_pylist():
                yield from record_batches(file_rows(file["path"], file["crawl"], config), config.language)

    records = warc_files.select("path", "crawl").mapInArrow(extract, _DDL)
    if observation is not None:
        records = records.observe(
            observation, *(count.alias(name) for name, count in read_warc.record_counts().items())
        )
    # Records that are only counted have no identity.
    return records.where(F.col("doc_id").isNotNull()).select(*DOCUMENTS.column_names)


def file_rows(path: str, crawl: str, config: Config) -> Iterator[Row]:
    """A row for each record of a file: all columns of DOCUMENTS but the language, or `crawl` and `record_type` of
    those that are only counted."""
    urls, safety, sandbox = load_url_gate(config.url_gate), load_safety_gate(config.safety), _sandbox(config)
    for identity, record in read_warc.read_file(path, crawl, config.read):
        if record is None:
            yield identity
            continue
        verdict = offer(record, config.read.max_body_bytes, url_gate=urls, safety=safety)
        row = document_row(identity, record, verdict, sandbox, config.extractor)
        evidence = verdict.evidence
        if evidence is None and (matches := safety.keyword_matches(record.url, _stored_texts(row))):
            evidence = evidence_json(matches, verdict.body)
        yield row if evidence is None else withheld(row, evidence)


def document_row(
    identity: Row, record: ArchiveRecord, verdict: Offer, sandbox: ExtractionSandbox, extractor: str
) -> Row:
    """A record as a row of DOCUMENTS without the language; only offered HTML reaches the sandbox."""
    host = host_of(record.url)
    row = identity | {
        "host": host,
        "domain": registered_domain(host) if host else None,
        "http_status": verdict.http_status,
        "mime": verdict.mime,
        "extract_status": verdict.status,
        "extract_reason": verdict.reason,
        "extract_detail": verdict.detail,
    }
    if verdict.body is None:
        return row
    if record.type == "conversion":
        text, charset = decode_html(verdict.body, verdict.charset or "utf-8")
        return row | {"extractor": "wet"} | _outcome(Extraction(text=clean_text(text), charset=charset), verdict.detail)
    found = sandbox.extract(verdict.body, verdict.charset)
    return (
        row
        | {"extractor": extractor}
        | asdict(page_rights(verdict.body, verdict.fields))
        | _outcome(found, verdict.detail)
    )


def _outcome(found: Extraction, note: str | None) -> Row:
    """The extraction's columns; a note on the body's codings stays with pages that have text."""
    if found.reason is not None:
        return {"extract_status": "failed", "extract_reason": found.reason, "extract_detail": found.detail}
    facts: Row = {name: getattr(found, name) for name in ("title", "author", "date", "page_type", "charset")}
    if not found.text:
        return facts | {"extract_status": "skipped", "extract_reason": "no_text"}
    return facts | {
        "extract_status": "extracted",
        "extract_detail": note,
        "text": found.text,
        "text_hash": text_hash(found.text),
    }


def _stored_texts(row: Row) -> Iterator[str]:
    """Whatever words of a page its row would keep, the URL aside."""
    for name in ("title", "author", "text", "tdm_policy", "extract_detail"):
        if isinstance(value := row.get(name), str):
            yield value


def withheld(row: Row, evidence: str) -> Row:
    """What stays of a record that must not be kept."""
    kept = {name: row[name] for name in _WITHHELD_COLUMNS}
    return kept | {"extract_status": "skipped", "extract_reason": QUARANTINED, "safety_evidence": evidence}


def record_batches(rows: Iterable[Row], language: identify_language.Config) -> Iterator[pa.RecordBatch]:
    """Rows with their language, in batches that are bounded in characters too: texts differ in length by four orders
    of magnitude."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(text) if isinstance(text := row.get("text"), str) else 0
        if len(batch) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield _record_batch(batch, language)
            batch, characters = [], 0
    if batch:
        yield _record_batch(batch, language)


def _record_batch(rows: list[Row], language: identify_language.Config) -> pa.RecordBatch:
    languages = identify_language.identify([row.get("text") for row in rows], language)
    return pa.RecordBatch.from_pylist([row | found for row, found in zip(rows, languages, strict=True)], schema=_ARROW)


@cache
def _sandbox(config: Config) -> ExtractionSandbox:
    """One for the life of a worker, so that a task costs no start of a child."""
    sandbox = ExtractionSandbox(
        config.extractor,
        max_seconds=config.max_seconds,
        max_memory_mib=config.max_memory_mib,
        pages_per_child=config.pages_per_child,
        max_resident_mib=config.max_resident_mib,
        min_words=config.min_words,
    )
    atexit.register(sandbox.stop)
    return sandbox


def status_counts() -> dict[str, Column]:
    """Documents by status, and those withheld by the safety gate, observed during the write."""
    by_status = {status: F.count_if(F.col("extract_status") == status) for status in ("extracted", "skipped", "failed")}
    return by_status | {QUARANTINED: F.count_if(F.col("extract_reason").eqNullSafe(QUARANTINED))}


STAGE = Stage(
    name="extract_text",
    reads=(WARC_FILES,),
    writes=DOCUMENTS,
    config=Config,
    transform=transform,
    counts=status_counts,
    observes_reading=True,
    models=lambda config: (
        identify_language.language_models(config.language) | url_lists(config.url_gate) | safety_lists(config.safety)
    ),
)
