"""Rows of `documents` as a test states them; and one small lake of literal rows: every outcome, both kinds of
duplicates, hostile page texts, and a second crawl."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from schemas.contract import Table
from schemas.plumbing.configuration import config_json
from schemas.tables.corpus import CORPUS
from schemas.tables.crawls import CRAWLS
from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from schemas.tables.incidents import SUSPECTS
from schemas.tables.models import MODELS
from schemas.tables.quarantine import QUARANTINE
from schemas.tables.runs import RUNS
from schemas.tables.spans import REPEATED_SPANS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.kernels.models.calibration import CalibrationPoint, Confusion, LabelFigures
from spark_jobs.kernels.models.classifier import ClassifierCard, ShareThreshold
from spark_jobs.kernels.models.kenlm_model import LanguageModelCard, Percentile
from spark_jobs.kernels.models.language_id_card import LanguageIdCard
from spark_jobs.kernels.text_hash import text_hash
from spark_jobs.lake import delta
from spark_jobs.models.record_models import model_row
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide import select_corpus

RIVER = "The river rises in the hills. It runs to the sea, and the people of the valley have always lived with it. " * 4
HOSTILE_TITLE = "<script>alert('title')</script>"
HOSTILE_TEXT = '</blockquote></article><img src=http://evil.example/x.png onerror=alert(1)> & "quoted" \u202e\x07 text'
HOSTILE_URL = 'http://evil.example/"><script src=//evil.example/x.js></script>'
RIGHTS = {
    "licence": "by",
    "licence_version": "4.0",
    "licence_confidence": 0.75,
    "robots": ["noai", "noindex"],
    "tdm_reservation": 0,
}
PASSES_ALL_RULES = {
    "basic_character_count": 400,
    "gopher_quality_word_count": 100,
    "gopher_quality_mean_word_length": 5.0,
    "gopher_quality_alphabetic_word_fraction": 1.0,
    "gopher_quality_stop_word_count": 3,
    "c4_sentence_count": 8,
    "fineweb_line_punct_ratio": 0.5,
}

LANGUAGE_ID = LanguageIdCard(
    kind="language-id",
    sha256="a" * 64,
    holdout_documents=30,
    macro_accuracy_of_known=0.85,
    languages=(
        LabelFigures(label="de", texts=10, found=10, right=9),
        LabelFigures(label="nds", texts=20, found=20, right=16),
    ),
    confusions=(Confusion(label="nds", taken_for="de", texts=4),),
)
LID_176 = LANGUAGE_ID.model_copy(
    update={"sha256": "b" * 64, "languages": (LabelFigures(label="de", texts=10, found=30, right=10),)}
)
PROSE = LanguageModelCard(
    kind="perplexity",
    language="en",
    sha256="c" * 64,
    holdout_documents=25,
    percentiles=(Percentile(percentile=50, perplexity=165.8),),
)
QUALITY = ClassifierCard(
    kind="quality",
    sha256="d" * 64,
    holdout_documents=100,
    positive="positive",
    accuracy=0.9,
    labels=(LabelFigures(label="<b>positive", texts=50, found=40, right=38),),
    calibration=(CalibrationPoint(probability=0.25, share=0.5, texts=100),),
    thresholds=(ShareThreshold(share=0.1, threshold=0.0181125),),
)
EXAM_COUNTS = {
    "exam.items": 12,
    "exam.short_items": 2,
    "exam.ignored_items": 1,
    "exam.ngrams": 340,
    "exam.documents": 1,
}
MODEL_CARDS = {
    Path("m/language-id.bin"): LANGUAGE_ID,
    Path("m/lid.176.ftz"): LID_176,
    Path("m/en.bin"): PROSE,
    Path("m/quality.bin"): QUALITY,
}


def doc_id(number: int) -> str:
    return f"{number:032x}"


def rows_of(table: Table, *rows: dict[str, object]) -> list[dict[str, object]]:
    """The rows with null in columns that they do not name."""
    return [{name: row.get(name) for name in table.column_names} for row in rows]


def document(number: int, url: str, text: str | None, language: str | None, **others: object) -> dict[str, object]:
    row = {
        "doc_id": doc_id(number),
        "crawl": "c1",
        "warc_path": "a.warc.gz",
        "warc_offset": 1000 * number,
        "record_type": "response",
        "url": url,
    }
    row |= {
        "host": url.split("/")[2],
        "domain": url.split("/")[2],
        "fetched_at": datetime(2026, 5, number, tzinfo=UTC),
        "http_status": 200,
        "mime": "text/html",
    }
    row |= {
        "extract_status": "extracted",
        "text": text,
        "text_hash": text_hash(text or ""),
        "language": language,
        "language_score": 0.9 if language else None,
    }
    return row | others


def measured(number: int, **others: float) -> dict[str, object]:
    zeros = {
        column.name: None if column.nullable else 0 if column.type == "long" else 0.0
        for column in SIGNALS_TABLE.columns[2:]
    }
    return {**zeros, **PASSES_ALL_RULES, **others, "doc_id": doc_id(number), "crawl": "c2" if number == 8 else "c1"}


def decision(number: int, *rejected_by: str, outcome: str = "rejected", bucket: str | None = None) -> dict[str, object]:
    row = {
        "doc_id": doc_id(number),
        "crawl": "c2" if number == 8 else "c1",
        "policy": "english-web",
        "outcome": outcome,
    }
    return row | {"rejected_by": list(rejected_by), "weight": 1.0 if outcome == "kept" else 0.0, "bucket": bucket}


def corpus_document(number: int, crawl: str, text: str) -> dict[str, object]:
    row = {
        "doc_id": doc_id(number),
        "crawl": crawl,
        "source": "web",
        "url": "u",
        "domain": "d",
        "language": "en",
        "weight": 1.0,
    }
    return row | {"text": text, "text_hash": text_hash(text), "warc_path": "a.warc.gz", "warc_offset": 1}


def config_of_an_older_version() -> str:
    """The default policy with a rule on a signal that there is no longer."""
    config = json.loads(config_json(select_corpus.Config()))
    config["policy"]["rules"].append({"signal": "gone.away", "min": 1.0, "max": None, "name": "gone.away"})
    return json.dumps(config)


def ledger_entry(stage: str, config: str, minute: int, seconds: float, rows: int, **counts: int) -> dict[str, object]:
    row = {
        "run_id": f"{stage}{minute}",
        "stage": stage,
        "crawl": "c1",
        "fingerprint": "f",
        "config": config,
        "code_version": "0.1.0+abc",
        "inputs": "{}",
    }
    row |= {
        "output_table": stage,
        "output_version": 3,
        "counts": json.dumps({"rows": rows, **counts}),
        "models": json.dumps({"lid.ftz": "5" * 64}),
    }
    return row | {"started_at": datetime(2026, 6, 1, 12, minute, tzinfo=UTC), "seconds": seconds}


@pytest.fixture(scope="package")
def small_lake(spark, tmp_path_factory) -> str:
    lake = str(tmp_path_factory.mktemp("lake"))
    failed = {
        "extract_status": "failed",
        "extract_reason": "timeout",
        "extract_detail": "no answer in 30 s",
        "text_hash": None,
    }
    skipped = {
        "extract_status": "skipped",
        "extract_reason": "mime",
        "extract_detail": "image/png",
        "text_hash": None,
    }
    tables: dict[Table, list[dict[str, object]]] = {
        DOCUMENTS: [
            document(1, "http://river.example/one", RIVER, "en", title="The river", **RIGHTS),
            document(2, HOSTILE_URL, HOSTILE_TEXT, "en", title=HOSTILE_TITLE),
            document(3, "http://river.example/two", RIVER + "And more.", "en"),
            document(4, "http://river.example/one?again", RIVER, "en"),
            document(5, "http://river.example/map.png", None, None, **skipped),
            document(6, "http://river.example/slow", None, None, **failed),
            document(7, "http://fleuve.example/un", "Le fleuve coule.", "fr"),
            document(8, "http://river.example/one", "A later page about the river.", "en", crawl="c2"),
        ],
        SIGNALS_TABLE: [
            measured(1),
            measured(2, gopher_quality_word_count=10, fineweb_list_ratio=0.5),
            measured(3),
            measured(4),
            measured(7, gopher_quality_word_count=49),
            measured(8, gopher_quality_word_count=100_000),
        ],
        CRAWLS: [
            {"crawl": crawl, "ordinal": ordinal, "entered_at": datetime(2026, 5, 1, tzinfo=UTC)}
            for ordinal, crawl in enumerate(("c1", "c2"))
        ],
        DUPLICATES: [
            {"doc_id": doc_id(n), "crawl": crawl, "kind": kind, "representative_id": doc_id(1)}
            | {"similarity": similarity, "rule": rule}
            for n, crawl, kind, similarity, rule in (
                (4, "c1", "exact", 1.0, "equal text"),
                (3, "c1", "near", 0.875, "greedy"),
                (8, "c2", "url", None, "same page"),
            )
        ],
        CLUSTERS: [{"doc_id": doc_id(n), "crawl": "c1", "cluster_id": doc_id(1), "cluster_size": 2} for n in (1, 3)],
        DECONTAMINATION: [
            {"doc_id": doc_id(1), "crawl": "c1", "set_name": "exam", "ngrams": 3, "document_share": 0.1, "items": 2}
            | {"item_share": 0.25, "item_id": "q7", "rule": "13-grams"}
        ],
        SUSPECTS: [
            {
                "doc_id": doc_id(8),
                "source": "web",
                "incident_id": f"i{n}",
                "run": f"runs/{n}",
                "time": datetime(2026, 7, n, tzinfo=UTC),
            }
            | {"verdict": verdict, "loss": 9.5, "usual_loss": 3.25, "deviations": 8.0, "repetitions": 2}
            for n, verdict in ((1, "data fault"), (2, "forced"))
        ],
        DECISIONS: [
            decision(1, outcome="kept", bucket="head"),
            decision(2, "gopher_quality.word_count", "fineweb.list_ratio"),
            decision(3, "duplicate.near"),
            decision(4, "duplicate.exact"),
            decision(5, "extract.mime"),
            decision(6, outcome="failed"),
            decision(7, "language.en", "gopher_quality.word_count"),
            decision(8, outcome="kept"),
        ],
        REPEATED_SPANS: [
            {
                "doc_id": doc_id(1),
                "crawl": "c1",
                "kind": "repeated",
                "rule": "paragraph",
                "start": start,
                "end": start + 10,
                "replacement": "",
            }
            for start in (0, 20)
        ],
        QUARANTINE: [
            {
                "doc_id": doc_id(5),
                "crawl": "c1",
                "evidence": "pdq",
                "list": "images.txt",
                "payload_sha256": "00",
                "distance": 12,
            }
        ],
        MODELS: [model_row(path, card) for path, card in MODEL_CARDS.items()],
        CORPUS: [corpus_document(1, "c1", RIVER), corpus_document(8, "c2", "A later page about the river.")],
        TOKENIZERS: [
            {
                "fingerprint": "fedcba9876543210",
                "kind": "byte-level-bpe",
                "vocabulary_size": 4096,
                "end_of_document_id": 0,
                "definition": "{}",
            }
            | {"sample_documents": 2, "sample_bytes": 450, "languages": ["de", "en"], "sample_characters": [0, 450]}
            | {"tokens_per_word": [2.5, 1.25], "bytes_per_token": [3.0, 4.5], "held_out": [True, False]}
        ],
        TOKENS: [
            {
                "doc_id": doc_id(number),
                "source": "web",
                "increment": 0,
                "shuffle_key": key,
                "weight": 1.0,
                "n_tokens": n,
                "tokens": bytes(2 * n),
            }
            | {"tokenizer": "fedcba9876543210", "text_hash": "0" * 64}
            for number, key, n in ((1, 7, 100), (8, -7, 10))
        ],
        WITHDRAWN: [
            {"doc_id": doc_id(3), "source": "web", "increment": 1, "withdrawal": 2}
            | {"tokens_version": 5, "n_tokens": 12, "reason": "left"}
        ],
        RUNS: [
            ledger_entry("extract_text", "{}", 1, 61.0, 8),
            ledger_entry("decontaminate", "{}", 0, 2.0, 1, **EXAM_COUNTS),
            ledger_entry("find_candidates", "{}", 0, 3.0, 1, buckets=14, largest_bucket=2, hot_buckets=1),
            ledger_entry("select_corpus", '{"policy": {"name": "an-older-one"}}', 2, 4.0, 8),
            ledger_entry("select_corpus", config_of_an_older_version(), 3, 5.0, 8),
        ],
    }
    for table, rows in tables.items():
        # Written without the CHECK constraints, each of which costs a commit.
        data = spark.createDataFrame(rows_of(table, *rows), table.spark()).coalesce(1)
        data.write.format("delta").save(delta.table_path(lake, table))
    return lake


_EXTRACTED = {
    "crawl": "c1",
    "warc_path": "a.warc.gz",
    "warc_offset": 0,
    "record_type": "response",
    "extract_status": "extracted",
    "text_hash": text_hash(""),
}


@pytest.fixture(scope="session")
def documents_of(spark) -> Callable[..., DataFrame]:
    """`documents_of({"doc_id": ..., "text": ...}, ...)`: what a row does not state is that of an extracted page of
    crawl c1, or null."""

    def build(*rows: dict[str, Any]) -> DataFrame:
        values = [tuple((_EXTRACTED | row).get(name) for name in DOCUMENTS.column_names) for row in rows]
        return spark.createDataFrame(values, DOCUMENTS.spark())

    return build
