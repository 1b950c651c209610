"""Decisions of a policy, each with all its rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import DataFrame

from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from schemas.tables.incidents import SUSPECTS
from spark_jobs.signals import SIGNALS, SIGNALS_TABLE
from spark_jobs.stages.decide import judge_eligible
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.select_corpus import Config, transform

pytestmark = pytest.mark.spark

POLICY = Policy.model_validate(
    {
        "name": "test",
        "languages": [{"language": "en", "min_score": 0.65}],
        "rules": [
            "fineweb.char_dup_ratio",
            {"signal": "gopher_quality.word_count", "min": 50, "max": 100},
            {"signal": "basic.line_count", "max": 9, "name": "short"},
        ],
        "weight": 2.0,
    }
)


def signals_of(spark, rows: dict[str, dict[str, float]]) -> DataFrame:
    """Signals by key; what a row does not state is 0."""
    values = [
        (
            doc_id,
            "c1",
            *((int if signal.type == "long" else float)(stated.get(signal.key, 0)) for signal in SIGNALS),
            None,
        )
        for doc_id, stated in rows.items()
    ]
    return spark.createDataFrame(values, SIGNALS_TABLE.spark())


def decided(
    spark,
    documents: DataFrame,
    signals: dict,
    exact: tuple[str, ...] = (),
    near: tuple[str, ...] = (),
    url: tuple[str, ...] = (),
    overlaps: tuple[tuple[str, str, float], ...] = (),
    policy: Policy = POLICY,
) -> DataFrame:
    """Judged, then closed with the duplicates that are stated."""
    rows = [(doc_id, "c1", name, 1, 0.1, 1, share, "item", "rule") for doc_id, name, share in overlaps]
    contaminated = spark.createDataFrame(rows, DECONTAMINATION.spark())
    suspects = spark.createDataFrame([], SUSPECTS.spark())
    config = Config(policy=policy)
    judged = judge_eligible.transform(documents, signals_of(spark, signals), contaminated, suspects, config=config)
    duplicates = [
        (doc_id, "c1", kind, "earlier", None if kind == "url" else 1.0, "rule")
        for kind, doc_ids in (("exact", exact), ("near", near), ("url", url))
        for doc_id in doc_ids
    ]
    return transform(
        judged,
        spark.createDataFrame(duplicates, DUPLICATES.spark()),
        spark.createDataFrame([], CLUSTERS.spark()),
        config=config,
    )


def rows_of(decisions: DataFrame) -> dict[str, tuple]:
    assert tuple(decisions.columns) == DECISIONS.column_names
    return {row.doc_id: (row.outcome, row.rejected_by, row.weight) for row in decisions.collect()}


ENGLISH = {"text": "some text", "language": "en", "language_score": 0.9}
GOOD = {"gopher_quality.word_count": 60}


def test_every_document_is_decided_with_every_rule_against_it(spark, documents_of):
    documents = documents_of(
        {"doc_id": "good", **ENGLISH},
        {"doc_id": "on_the_limits", **ENGLISH, "language_score": 0.65},
        {"doc_id": "too_short", **ENGLISH},
        {"doc_id": "too_long", **ENGLISH},
        {"doc_id": "everything_wrong", "text": "texte", "language": "fr", "language_score": 0.99},
        {"doc_id": "unsure", **ENGLISH, "language_score": 0.64},
        {"doc_id": "no_language", "text": "?"},
        {"doc_id": "copy", **ENGLISH},
        {"doc_id": "near_copy", **ENGLISH},
        {"doc_id": "image", "extract_status": "skipped", "extract_reason": "mime", "text_hash": None},
        {"doc_id": "hung", "extract_status": "failed", "extract_reason": "timeout", "text_hash": None},
    )
    signals = {
        "good": GOOD,
        "on_the_limits": {"gopher_quality.word_count": 100, "fineweb.char_dup_ratio": 0.01, "basic.line_count": 9},
        "too_short": {"gopher_quality.word_count": 49},
        "too_long": {"gopher_quality.word_count": 101},
        "everything_wrong": {"fineweb.char_dup_ratio": 0.5, "basic.line_count": 10},
        "unsure": GOOD,
        "no_language": GOOD,
        "copy": GOOD,
        "near_copy": GOOD,
    }
    actual = rows_of(
        decided(
            spark,
            documents,
            signals,
            exact=("copy",),
            near=("copy", "near_copy"),
        )
    )
    assert actual == {
        "good": ("kept", [], 2.0),
        "on_the_limits": ("kept", [], 2.0),
        "too_short": ("rejected", ["gopher_quality.word_count"], 0.0),
        "too_long": ("rejected", ["gopher_quality.word_count"], 0.0),
        "everything_wrong": (
            "rejected",
            [
                "language.en",
                "fineweb.char_dup_ratio",
                "gopher_quality.word_count",
                "short",
            ],
            0.0,
        ),
        "unsure": ("rejected", ["language.en"], 0.0),
        "no_language": ("rejected", ["language.en"], 0.0),
        "copy": ("rejected", ["duplicate.exact", "duplicate.near"], 0.0),
        "near_copy": ("rejected", ["duplicate.near"], 0.0),
        "image": ("rejected", ["extract.mime"], 0.0),
        "hung": ("failed", [], 0.0),
    }


def test_several_languages_make_one_rule_and_have_weights_of_their_own(spark, documents_of):
    policy = Policy.model_validate(
        {
            "name": "two",
            "languages": [{"language": "en"}, {"language": "fr", "min_score": 0.5}],
            "language_weights": {"fr": 3.0},
            "weight": 0.5,
        }
    )
    documents = documents_of(
        {"doc_id": "en", "text": "t", "language": "en", "language_score": 0.1},
        {"doc_id": "fr", "text": "t", "language": "fr", "language_score": 0.6},
        {"doc_id": "de", "text": "t", "language": "de", "language_score": 0.9},
    )
    actual = rows_of(decided(spark, documents, {"en": {}, "fr": {}, "de": {}}, policy=policy))
    assert actual == {"en": ("kept", [], 0.5), "fr": ("kept", [], 3.0), "de": ("rejected", ["language.any"], 0.0)}


def test_other_captures_of_a_page_are_rejected_where_the_policy_says_so(spark, documents_of):
    documents = documents_of({"doc_id": "a", "text": "t"}, {"doc_id": "b", "text": "t"})
    policy = Policy.model_validate({"name": "pages", "duplicates": {"url": True}})
    assert rows_of(decided(spark, documents, {"a": {}, "b": {}}, url=("b",), policy=policy)) == {
        "a": ("kept", [], 1.0),
        "b": ("rejected", ["duplicate.url"], 0.0),
    }


def test_a_document_with_parts_of_evaluation_sets_is_rejected_for_each(spark, documents_of):
    policy = Policy.model_validate({"name": "clean", "decontamination": {"max_overlap": 0.5}})
    documents = documents_of(*({"doc_id": doc_id, "text": "t"} for doc_id in ("a", "b", "c")))
    overlaps = (("a", "quiz", 0.6), ("a", "exam", 1.0), ("a", "test", 0.1), ("b", "exam", 0.4))
    actual = rows_of(decided(spark, documents, {"a": {}, "b": {}, "c": {}}, overlaps=overlaps, policy=policy))
    rejected = ("rejected", ["decontamination.exam", "decontamination.quiz"], 0.0)
    assert actual == {"a": rejected, "b": ("kept", [], 1.0), "c": ("kept", [], 1.0)}


def test_keep_all_keeps_all_that_has_text(spark, documents_of):
    documents = documents_of(
        {"doc_id": "a", "text": "t"},
        {"doc_id": "b", "extract_status": "skipped", "extract_reason": "empty_body", "text_hash": None},
    )
    actual = rows_of(decided(spark, documents, {"a": {}}, policy=Config(policy="keep_all").policy))
    assert actual == {"a": ("kept", [], 1.0), "b": ("rejected", ["extract.empty_body"], 0.0)}


def test_a_document_that_was_never_measured_stops_the_run(spark, documents_of):
    with pytest.raises(Exception, match="lost has text but no signals"):
        decided(spark, documents_of({"doc_id": "lost", **ENGLISH}), {}).collect()


def test_nothing_in_gives_nothing_out(spark, documents_of):
    decisions = decided(spark, documents_of(), {})
    assert decisions.collect() == []


def test_deciding_reads_no_text(spark, documents_of, tmp_path):
    documents_of({"doc_id": "good", **ENGLISH}).write.format("delta").save(str(tmp_path / "documents"))
    decisions = decided(spark, spark.read.format("delta").load(str(tmp_path / "documents")), {"good": GOOD})
    plan = decisions._jdf.queryExecution().executedPlan().toString()
    (read,) = re.findall(r"FileScan parquet \[(.*?)\]", plan)
    assert {column.partition("#")[0] for column in read.split(",")} <= {
        "doc_id",
        "crawl",
        "extract_status",
        "extract_reason",
        "language",
        "language_score",
    }


def test_rules_on_columns_of_documents_are_decided_on_spark(spark, documents_of):
    policy = Policy.model_validate(
        {
            "name": "columns",
            "rules": [
                {"column": "domain", "none_of": ["bücher.example", "*.gov.example"]},
                {"column": "date", "min": "2015-01-01", "missing": "reject"},
                {"column": "fetched_at", "max": "2026-01-31"},
                {"column": "http_status", "max": 299},
                {"column": "robots", "none_of": ["noai"]},
            ],
        }
    )
    fetched = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    good = ENGLISH | {"domain": "a.example", "date": "2015-01-01", "fetched_at": fetched, "http_status": 200}
    rows = {
        "good": good | {"robots": ["all"]},
        "idn": good | {"domain": "xn--bcher-kva.example", "robots": []},
        "state": good | {"domain": "a.gov.example", "date": "2014-12-31"},
        "late": good | {"fetched_at": fetched + timedelta(minutes=1)},
        "undated": good | {"date": None, "http_status": 404, "robots": ["noai", "noindex"]},
    }
    documents = documents_of(*({"doc_id": doc_id} | row for doc_id, row in rows.items()))
    found = rows_of(decided(spark, documents, dict.fromkeys(rows, GOOD), policy=policy))
    assert {doc_id: rejected_by for doc_id, (_, rejected_by, _) in found.items()} == {
        "good": [],
        "idn": ["documents.domain"],
        "state": ["documents.domain", "documents.date"],
        "late": ["documents.fetched_at"],
        "undated": ["documents.date", "documents.http_status", "documents.robots"],
    }
