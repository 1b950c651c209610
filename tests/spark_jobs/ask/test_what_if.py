"""What-if over a small lake of literal rows, written without Spark."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from schemas.contract import Table
from schemas.plumbing.errors import NothingToDo, UsageError
from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import SIMILARITIES
from schemas.tables.incidents import SUSPECTS
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from schemas.tables.runs import RUNS
from schemas.tables.tokens import TOKENS
from spark_jobs.ask.what_if import BucketLimits, Change, RuleEffect, bucket_limits, compare, policy_of_lake
from spark_jobs.ask.what_if_text import comparison_text
from spark_jobs.commands.corpus import app
from spark_jobs.lake.columns import LakeColumns
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.policy import DuplicateRule, Policy, TrainingRule

LOOSE = Policy.model_validate(
    {"name": "loose", "rules": [{"signal": "gopher_quality.word_count", "min": 20}], "duplicates": {"near": False}}
)
STRICT = Policy.model_validate(
    {
        "name": "strict",
        "languages": [{"language": "en"}],
        "rules": [{"signal": "gopher_quality.word_count", "min": 50}],
        "weight": 2.0,
    }
)
TOXIC = {"name": "toxic", "weigh": [{"signal": "toxicity.max_sentence", "above": 0.4, "factor": 0.2}]}


def write(lake, table: Table, *rows: dict[str, object]) -> None:
    """Rows with null in columns that they do not name; the order of the files is not that of the ids."""
    schema = pa.schema([field.with_nullable(True) for field in table.arrow()])
    data = pa.Table.from_pylist([({"crawl": "c1"} if "doc_id" in row else {}) | row for row in rows], schema=schema)
    for half in (data.slice(len(data) // 2), data.slice(0, len(data) // 2)):
        write_deltalake(f"{lake}/{table.name}", half, mode="append")


def page(doc_id: str, language: str | None = "en", domain: str = "a.example", **others: object) -> dict[str, object]:
    return {
        "doc_id": doc_id,
        "extract_status": "extracted",
        "language": language,
        "language_score": 0.9,
        "domain": domain,
        "text_hash": f"text of {doc_id}",
        **others,
    }


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    failed = {"extract_status": "failed", "extract_reason": "timeout"}
    skipped = {"extract_status": "skipped", "extract_reason": "mime"}
    pages = [page("10"), page("20"), page("30", "fr", "b.example"), page("a0", domain="b.example"), page("b0", None)]
    write(folder, DOCUMENTS, *pages, page("c0", **failed), page("d0", **skipped), page("e0", crawl="c2"))
    counted = {"10": 100, "20": 30, "30": 200, "a0": 60, "b0": 10, "e0": 70}
    perplexity = {"10": 100.0, "20": 200.0, "30": 900.0, "a0": 300.0, "e0": 400.0}
    signals = [
        {
            "doc_id": doc_id,
            "gopher_quality_word_count": words,
            "basic_character_count": 5 * words,
            "perplexity_value": perplexity.get(doc_id),
        }
        | ({"crawl": "c2"} if doc_id == "e0" else {})
        for doc_id, words in counted.items()
    ]
    write(folder, SIGNALS_TABLE, *signals)
    # 20 and a0 are similar to 10, which has the most words; 30 shares their bucket.
    alike = {"10": [*range(20)], "20": [*range(18)], "a0": [*range(2, 20), 30], "30": [*range(50, 70)]}
    write(folder, BAND_INDEX, *({"band": 0, "band_key": 1, "doc_id": doc_id} for doc_id in alike))
    write(folder, SIGNATURES, *({"doc_id": doc_id, "shingles": shingles} for doc_id, shingles in alike.items()))
    known = {"text": "text of 10", "other": "text of 20", "similarity": 0.9, "scheme": "word 5-grams, version 1"}
    write(folder, SIMILARITIES, known)
    write(folder, CRAWLS, {"crawl": "c1", "ordinal": 0}, {"crawl": "c2", "ordinal": 1})
    write(folder, TOKENS, {"doc_id": "10", "n_tokens": 120}, {"doc_id": "a0", "n_tokens": 80})
    older, newer = (
        {"stage": "select_corpus", "started_at": datetime(2026, 5, day, tzinfo=UTC), "run_id": str(day)}
        for day in (1, 2)
    )
    recorded = {"policy": LOOSE.model_dump(mode="json") | {"thresholds": {}}}
    write(
        folder,
        RUNS,
        newer | {"config": json.dumps(recorded)},
        older | {"config": "{}"},
        newer | {"stage": "extract_text", "run_id": "3"},
    )
    return str(folder)


def test_two_policies_are_compared_by_documents_words_language_and_domain(lake):
    comparison = compare(LakeColumns(lake), LOOSE, STRICT)
    assert (comparison.records, comparison.with_text) == (8, 6)
    # 10, 20, 30, a0 and e0 against 10 and e0.
    assert (comparison.before.kept.documents, comparison.before.kept.words, comparison.before.kept.weighted_words) == (
        5,
        460,
        460.0,
    )
    assert (comparison.after.kept.documents, comparison.after.kept.words, comparison.after.kept.weighted_words) == (
        2,
        170,
        340.0,
    )
    assert comparison.total == Change("all", 5, 2, 0, 3, 460, 170)
    assert comparison.languages == (Change("en", 4, 2, 0, 2, 260, 170), Change("fr", 1, 0, 0, 1, 200, 0))
    assert comparison.domains == (Change("b.example", 2, 0, 0, 2, 260, 0), Change("a.example", 3, 2, 0, 1, 200, 170))


def test_tokens_are_estimated_by_what_the_lake_has_tokenised(lake):
    comparison = compare(LakeColumns(lake), LOOSE, STRICT)
    assert comparison.tokens_per_character == pytest.approx(200 / 800)
    assert (comparison.before.kept.tokens, comparison.after.kept.tokens) == (575, 212)


def test_each_rule_says_how_many_fail_it_how_many_only_it_and_what_would_be_kept_without_it(lake):
    rules = {rule.name: rule for rule in compare(LakeColumns(lake), LOOSE, STRICT).after.rules}
    assert rules == {
        "language.en": RuleEffect("language.en", 2, 1, 3, 370),
        "gopher_quality.word_count": RuleEffect("gopher_quality.word_count", 2, 1, 3, 200),
        "training.suspect": RuleEffect("training.suspect", 0, 0, 2, 170),
        "duplicate.exact": RuleEffect("duplicate.exact", 0, 0, 2, 170),
        # 20 is similar to 10 too, but has too few words, so nobody asks.
        "duplicate.near": RuleEffect("duplicate.near", 1, 1, 3, 230),
    }


def test_leaving_a_rule_out_keeps_what_was_foretold(lake):
    rules = {rule.name: rule for rule in compare(LakeColumns(lake), LOOSE, STRICT).after.rules}
    without = STRICT.model_copy(update={"languages": ()})
    kept = compare(LakeColumns(lake), STRICT, without).after.kept
    assert (kept.documents, kept.words) == (rules["language.en"].documents_without, rules["language.en"].words_without)


def test_what_the_lake_does_not_have_is_said(lake):
    policy = STRICT.model_copy(update={"weigh": Policy.model_validate(TOXIC).weigh})
    comparison = compare(LakeColumns(lake), LOOSE, policy)
    assert comparison.unmeasured == ("toxicity.max_sentence",)
    assert {name for name, version in comparison.versions.items() if version is None} == {"suspects"}
    text = comparison_text(comparison)
    assert (
        "taken for empty: suspects\nmeasured on no document, so that no rule on it rejects: "
        "toxicity.max_sentence\n" in text
    )


def test_rules_on_columns_count_like_others_and_columns_without_any_value_are_named(lake):
    rules = [
        {"column": "domain", "none_of": ["*.example"]},
        {"column": "date", "min": "2015-01-01"},
        {"column": "fetched_at", "missing": "reject"},
    ]
    quiet = {"duplicates": {"exact": False, "near": False}, "training": {"suspects": False}}
    everything, limited, present = (
        Policy.model_validate({"name": "x", "rules": some, **quiet}) for some in ([], rules[:2], rules[2:])
    )
    comparison = compare(LakeColumns(lake, "c1"), everything, limited)
    assert (comparison.before.kept.documents, comparison.after.kept.documents) == (5, 0)
    assert {rule.name: (rule.fail, rule.documents_without) for rule in comparison.after.rules} == {
        "documents.domain": (5, 5),
        "documents.date": (0, 0),
    }
    assert comparison.unmeasured == ("documents.date",)
    missing = compare(LakeColumns(lake, "c1"), everything, present)
    assert (missing.after.kept.documents, missing.unmeasured) == (0, ())


def test_suspects_of_training_runs_count_once_however_many_incidents_they_caused(lake, tmp_path):
    shutil.copytree(lake, tmp_path / "lake")
    rows = [
        {"doc_id": doc_id, "incident_id": incident} for doc_id, incident in (("10", "i1"), ("10", "i2"), ("20", "i1"))
    ]
    write_deltalake(
        str(tmp_path / "lake" / "suspects"),
        pa.Table.from_pylist(rows, pa.schema([SUSPECTS.arrow().field(name) for name in rows[0]])),
    )
    comparison = compare(
        LakeColumns(str(tmp_path / "lake")),
        STRICT.model_copy(update={"training": TrainingRule(suspects=False)}),
        STRICT,
    )
    # a0, which repeats 10, stands in its place.
    assert comparison.total == Change("all", 2, 2, 1, 1, 170, 130)
    (rule,) = (rule for rule in comparison.after.rules if rule.name == "training.suspect")
    assert rule == RuleEffect("training.suspect", 2, 1, 3, 230)
    assert comparison.versions["suspects"] == 0


def test_a_crawl_and_a_sample_confine_what_is_looked_at(lake):
    assert compare(LakeColumns(lake, crawl="c2"), LOOSE, STRICT).records == 1
    samples = [compare(LakeColumns(lake, sample=share), LOOSE, STRICT).records for share in (0.1, 0.5, 0.7, 1.0)]
    assert samples == [1, 3, 5, 8]
    with pytest.raises(NothingToDo, match="there is no document in the sample"):
        compare(LakeColumns(lake, sample=0.01), LOOSE, STRICT)


def test_percentiles_become_limits_of_buckets(lake):
    found = bucket_limits(LakeColumns(lake), "perplexity.value", (0.25, 0.5), None)
    assert found == (BucketLimits("en", (175.0, 250.0), 4), BucketLimits("fr", (900.0, 900.0), 1))
    kept = bucket_limits(LakeColumns(lake), "perplexity.value", (0.25, 0.5), STRICT)
    assert kept == (BucketLimits("en", (175.0, 250.0), 2),)


def test_percentiles_of_what_was_not_measured_are_refused(lake):
    with pytest.raises(UsageError, match=r"perplexity\.valeu: there is no such signal"):
        bucket_limits(LakeColumns(lake), "perplexity.valeu", (0.25, 0.5), None)
    with pytest.raises(NothingToDo, match=r"has a value of toxicity\.max_sentence"):
        bucket_limits(LakeColumns(lake), "toxicity.max_sentence", (0.25, 0.5), None)


def test_the_policy_of_the_lake_is_that_of_its_newest_selection(lake):
    assert policy_of_lake(LakeColumns(lake)) == (LOOSE, ("thresholds",))


def test_a_lake_without_a_selection_needs_two_policies(tmp_path):
    with pytest.raises(UsageError, match="no selection is in its ledger; name two policies"):
        policy_of_lake(LakeColumns(str(tmp_path)))
    with pytest.raises(NothingToDo, match="there is no document"):
        compare(LakeColumns(str(tmp_path)), LOOSE, STRICT)


def test_a_table_without_a_column_names_it(lake, tmp_path):
    write_deltalake(str(tmp_path / "documents"), pa.table({"doc_id": ["1"]}))
    with pytest.raises(UsageError, match="documents: was written without crawl, domain, extract_reason"):
        compare(LakeColumns(str(tmp_path)), LOOSE, STRICT)


def test_the_command_prints_tables_or_json_or_limits_to_paste(lake, tmp_path):
    policy = tmp_path / "strict.yaml"
    policy.write_text("name: strict\nlanguages: [{language: en}]\n")
    printed = CliRunner().invoke(app, ["what-if", str(policy), "--lake", lake], standalone_mode=False)
    lines = printed.stdout.splitlines()
    assert printed.stderr == "the policy of the lake is read without thresholds\n"
    assert "records 8; with text 6" in lines
    assert "documents           5       2      -3 (-60.0 %)" in lines
    assert ["language.en", "2", "2", "4", "380"] in [line.split() for line in lines]
    answer = CliRunner().invoke(
        app, ["what-if", str(policy), "keep_all", "--lake", lake, "--json"], standalone_mode=False
    )
    assert json.loads(answer.output)["total"] == {
        "name": "all",
        "before": 2,
        "after": 6,
        "gained": 4,
        "lost": 0,
        "words_before": 170,
        "words_after": 470,
    }
    limits = CliRunner().invoke(app, ["what-if", "--percentiles", "0.25,0.5", "--lake", lake], standalone_mode=False)
    assert "    en: [175, 250]  # 4 documents\n    # fr: [900, 900]  # 1 documents" in limits.output
    refused = CliRunner().invoke(app, ["what-if", "--percentiles", "0.6,0.3", "--lake", lake], standalone_mode=False)
    assert isinstance(refused.exception, UsageError)


def test_pairs_that_no_run_has_compared_are_compared_and_counted(lake):
    comparison = compare(LakeColumns(lake), STRICT, LOOSE.model_copy(update={"duplicates": DuplicateRule()}))
    # 10 with 20 is known; 10 and 20 with a0, and all three with 30, are not.
    assert comparison.compared_pairs == 5
    assert "were compared for this: 5\n" in comparison_text(comparison)
    assert comparison.after.kept.documents == 3
