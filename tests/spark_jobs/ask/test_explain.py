"""Whole lives of documents, and what is said of one that does not exist."""

from __future__ import annotations

import pytest
from pyspark.sql import Row

from schemas.plumbing.errors import UsageError
from spark_jobs.ask.explain import explain_document, verdicts
from spark_jobs.ask.terminal import aligned
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.policy import Policy

pytestmark = pytest.mark.spark

RIVER = "The river rises in the hills. It runs to the sea, and the people of the valley have always lived with it. " * 4

ONE, NEAR, IMAGE, FAILED, FRENCH, LATER = (f"{number:032x}" for number in (1, 3, 5, 6, 7, 8))


def fields(life: str) -> dict[str, str]:
    """Names to their first values."""
    return {line[:12].strip(): line[12:].strip() for line in reversed(life.splitlines()) if line[:12].strip()}


def test_a_kept_document_leads_from_its_record_to_its_tokens(spark, small_lake):
    life = explain_document(spark, small_lake, ONE)
    told = fields(life)
    assert told["record"] == "a.warc.gz at byte 1000, response without an id"
    assert told["language"] == "en (0.900)"
    assert told["licence"] == "by 4.0, confidence 0.75"
    assert told["robots"] == "noai, noindex"
    assert told["decision"] == "kept under policy english-web, weight 1, bucket head"
    assert told["edits"] == "repeated, rule paragraph: 2 spans of 20 characters"
    assert told["contains"] == "25.0 % of item q7 of evaluation set exam, parts of 2 items"
    assert told["corpus"] == f"{len(RIVER)} characters in source web, weight 1"
    assert told["tokens"] == "100 of source web, increment 0, by tokenizer fedcba987654"
    assert "document 2 of 2 in the first epoch, from token 10 (shuffle key 7)" in life
    assert "1 exact duplicate\n" in life
    assert "1 near duplicate\n" in life


def test_a_rejected_document_names_every_rule_and_marks_the_signals_that_break_them(spark, small_lake):
    life = explain_document(spark, small_lake, FRENCH)
    life, warning = life.split("\n\n")
    assert warning == "The policy in the ledger is read without rules: gone.away."
    assert [line.split(maxsplit=2) for line in life.splitlines()[-2:]] == [
        ["rejected", "by", "language.en                it is in none of the policy's languages, or not surely"],
        ["gopher_quality.word_count", "words,", "punctuation marks left out"],
    ]
    broken = [line.split() for line in life.splitlines() if "BREAKS" in line]
    assert broken == [
        [
            "gopher_quality.word_count",
            "49",
            "BREAKS",
            "gopher_quality.word_count:",
            "at",
            "least",
            "50",
            "and",
            "at",
            "most",
            "100000",
        ]
    ]


def test_a_duplicate_names_what_it_repeats(spark, small_lake):
    told = fields(explain_document(spark, small_lake, NEAR))
    assert told["duplicate"] == f"near, similarity 0.875, of http://river.example/one ({ONE}); rule greedy"
    assert told["cluster"] == f"{ONE}, 2 documents"
    assert told["withdrawn"] == "left: not read up to increment 1; withdrawal 2, at version 5 of tokens"
    again = fields(explain_document(spark, small_lake, LATER))
    assert again["duplicate"] == f"url, of http://river.example/one ({ONE}); rule same page"


def test_a_failed_record_says_why(spark, small_lake):
    told = fields(explain_document(spark, small_lake, FAILED))
    assert told["extraction"] == "failed: timeout, extraction took longer than a page may take (no answer in 30 s)"
    assert told["decision"] == "failed under policy english-web"
    assert "signals" not in told


def test_a_quarantined_record_names_the_list_that_it_matched(spark, small_lake):
    assert fields(explain_document(spark, small_lake, IMAGE))["quarantine"] == "pdq of list images.txt, 12 bits off"


def test_a_document_that_harmed_training_runs_names_them_with_each_verdict(spark, small_lake):
    suspicions = [
        line.split(maxsplit=1)[1]
        for line in explain_document(spark, small_lake, LATER).splitlines()
        if line.startswith("suspect")
    ]
    assert suspicions == [
        "data fault in incident i1 of the training run runs/1, loss 9.5 where 3.25 is usual",
        "forced in incident i2 of the training run runs/2, loss 9.5 where 3.25 is usual",
    ]


def test_a_value_is_told_with_what_the_policy_makes_of_it():
    policy = Policy.model_validate(
        {
            "name": "x",
            "rules": ["fineweb.list_ratio"],
            "languages": [{"language": "de", "limits": {"fineweb.list_ratio": {"max": 0.5}}}],
            "buckets": {"limits": {"de": [300, 700]}},
            "weigh": [{"signal": "perplexity.value", "above": 500, "factor": 0.2}],
        }
    )
    signals = {signal.key: signal for signal in SIGNALS}
    measured = Row(fineweb_list_ratio=0.4, perplexity_value=600.0)
    told = {
        language: [
            list(verdicts(policy, signals[key], measured, language))
            for key in ("fineweb.list_ratio", "perplexity.value")
        ]
        for language in ("de", "en")
    }
    assert told["de"] == [["passes: at most 0.5"], ["buckets end at 300 and 700", "weight x 0.2"]]
    assert told["en"] == [["BREAKS fineweb.list_ratio: at most 0.3"], ["weight x 0.2"]]
    assert list(verdicts(policy, signals["perplexity.value"], Row(perplexity_value=None), "de")) == []


def test_a_url_gives_all_its_captures_in_the_order_of_fetching(spark, small_lake):
    *lives, _ = explain_document(spark, small_lake, "http://river.example/one").split("\n\n")
    assert [fields(life)["crawl"] for life in lives] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("http://river.example/ones", "http://river.example/one, http"),
        ("fleuve", "http://fleuve.example/un"),
        (ONE[:31], f"{'0' * 31}1, {'0' * 31}2"),
    ],
)
def test_an_unknown_document_is_a_usage_error_with_near_matches(spark, small_lake, asked, near):
    with pytest.raises(UsageError, match="no such document in ") as raised:
        explain_document(spark, small_lake, asked)
    assert f"near: {near}" in str(raised.value)


def test_a_document_that_is_like_no_other_has_no_near_matches(spark, small_lake):
    with pytest.raises(UsageError, match=r"xyz: no such document in \S+$"):
        explain_document(spark, small_lake, "xyz")


def test_control_characters_do_not_reach_the_terminal():
    assert aligned([("title", "a\x1b[31mb"), ("x", "1\n2")]) == "title  a\ufffd[31mb\nx      1\n       2"
