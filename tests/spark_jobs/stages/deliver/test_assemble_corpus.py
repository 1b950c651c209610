"""The corpus: kept documents, with every edit applied."""

from __future__ import annotations

import hashlib

import pytest
from pyspark.sql import DataFrame

from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.spans import LINE_SPANS, PII_SPANS, REPEATED_SPANS
from spark_jobs.lake import delta
from spark_jobs.lake.session import BROADCAST_KEPT
from spark_jobs.lake.stage import Lake, run_stage
from spark_jobs.stages.deliver.assemble_corpus import STAGE, Config, transform

pytestmark = pytest.mark.spark

KEPT = {"crawl": "c1", "policy": "test", "outcome": "kept", "rejected_by": [], "weight": 1.0}
TABLES = {"line": LINE_SPANS, "repeated": REPEATED_SPANS, "pii": PII_SPANS}


def decisions_of(spark, *rows: dict) -> DataFrame:
    return spark.createDataFrame(
        [tuple((KEPT | row).get(name) for name in DECISIONS.column_names) for row in rows], DECISIONS.spark()
    )


def spans_of(spark, spans: dict[str, list[tuple]]) -> list[DataFrame]:
    """The three tables of spans, from (doc_id, start, end, replacement) by kind."""
    return [
        spark.createDataFrame(
            [(doc_id, "c1", kind, "rule", *rest) for doc_id, *rest in spans.get(kind, [])], table.spark()
        )
        for kind, table in TABLES.items()
    ]


def test_kept_documents_enter_with_all_their_edits(spark, documents_of):
    documents = documents_of(
        {
            "doc_id": "plain",
            "text": "caf\u00e9 \U0001f30a, mill",
            "url": "https://example.org/",
            "domain": "example.org",
            "language": "en",
            "warc_offset": 7,
        },
        {"doc_id": "edited", "text": "\U0001f30a menu\nThe river of Ada, ada@example.org. The mill.\n"},
        {"doc_id": "emptied", "text": "menu \n"},
        {"doc_id": "bad", "text": "mauvais"},
        {"doc_id": "hung", "extract_status": "failed", "extract_reason": "timeout", "text_hash": None},
    )
    rejected = {"outcome": "rejected", "rejected_by": ["rule"], "weight": 0.0}
    decisions = decisions_of(
        spark,
        {"doc_id": "plain", "weight": 2.0, "bucket": "head"},
        {"doc_id": "edited"},
        {"doc_id": "emptied"},
        {"doc_id": "bad", **rejected},
        {"doc_id": "hung", **rejected, "outcome": "failed", "rejected_by": []},
    )
    spans = {
        "line": [("edited", 0, 7, ""), ("emptied", 0, 4, "")],
        "repeated": [("edited", 41, 51, ""), ("bad", 0, 7, "")],
        "pii": [("edited", 25, 40, "<EMAIL>")],
    }
    expected = {
        (
            "plain",
            "c1",
            "books",
            "https://example.org/",
            "example.org",
            "en",
            2.0,
            "head",
            "caf\u00e9 \U0001f30a, mill",
            "a.warc.gz",
            7,
        ),
        ("edited", "c1", "books", None, None, None, 1.0, None, "The river of Ada, <EMAIL>.", "a.warc.gz", 0),
    }
    for broadcast_kept in (True, False):
        spark.conf.set(BROADCAST_KEPT, broadcast_kept)
        corpus = transform(documents, decisions, *spans_of(spark, spans), config=Config(source="books"))
        rows = corpus.collect()
        assert {tuple(value for name, value in row.asDict().items() if name != "text_hash") for row in rows} == expected
        assert {row.text_hash for row in rows} == {hashlib.sha256(row.text.encode()).hexdigest() for row in rows}


def test_documents_that_are_edited_and_left_empty_are_counted_and_stored_by_language(spark, documents_of, tmp_path):
    documents = documents_of(
        {"doc_id": "a", "text": "one two", "language": "en"},
        {"doc_id": "b", "text": "menu"},
        {"doc_id": "c", "text": "plain"},
    )
    line, repeated, pii = spans_of(spark, {"line": [("a", 0, 4, ""), ("b", 0, 4, "")]})
    inputs = {"documents": documents, "decisions": decisions_of(spark, *({"doc_id": name} for name in "abc"))}
    lake = Lake(spark, str(tmp_path), "c1", inputs | {"line_spans": line, "repeated_spans": repeated, "pii_spans": pii})
    assert run_stage(STAGE, lake, Config()).counts == {"rows": 2, "edited": 2, "left_empty": 1}
    stored = delta.read_table(spark, str(tmp_path), CORPUS)
    assert {(row.doc_id, row.text, row.language) for row in stored.collect()} == {
        ("a", "two", "en"),
        ("c", "plain", None),
    }
    assert (tmp_path / "corpus" / "crawl=c1" / "language=en").is_dir()


def test_nothing_in_gives_an_empty_corpus(spark, documents_of):
    assert transform(documents_of(), decisions_of(spark), *spans_of(spark, {}), config=Config()).collect() == []


def test_a_span_that_was_found_in_another_text_stops_the_run(spark, documents_of):
    spans = spans_of(spark, {"pii": [("a", 3, 99, "<NAME>")]})
    with pytest.raises(Exception, match="a span from 3 to 99 does not fit a text of 7 characters"):
        transform(
            documents_of({"doc_id": "a", "text": "one two"}),
            decisions_of(spark, {"doc_id": "a"}),
            *spans,
            config=Config(),
        ).collect()


def test_the_text_of_kept_documents_is_not_shuffled(spark, documents_of, tmp_path):
    documents_of({"doc_id": "good", "text": "some text"}).write.format("delta").save(str(tmp_path / "documents"))
    documents = spark.read.format("delta").load(str(tmp_path / "documents"))
    corpus = transform(documents, decisions_of(spark, {"doc_id": "good"}), *spans_of(spark, {}), config=Config())
    plan = corpus._jdf.queryExecution().executedPlan().toString()
    texts_side = plan[: plan.index("BroadcastExchange")]
    assert "BroadcastHashJoin" in texts_side
    assert "Exchange hashpartitioning" not in texts_side
