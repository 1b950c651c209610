"""What a policy makes of batches of measurements, without Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.plumbing.errors import ContractError, UsageError
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.eligibility import ELIGIBILITY
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.decide import decisions, eligibility, judge, sources
from spark_jobs.stages.decide.policy import Policy

REPETITION = "gopher_repetition.duplicate_line_fraction"
LISTS = {"set_name": pa.list_(pa.string()), "item_share": pa.list_(pa.float64()), "incident_id": pa.list_(pa.string())}
TYPES = LISTS | {field.name: field.type for table in (SIGNALS_TABLE, DOCUMENTS) for field in table.arrow()}


def policy_of(**keys: object) -> Policy:
    return Policy.model_validate({"name": "test", **keys})


def batch_of(policy: Policy, *rows: dict[str, object]) -> pa.RecordBatch:
    """Rows as joined for the policy; what a row does not state is that of a measured English page, or null."""
    page = {"crawl": "c1", "extract_status": "extracted", "language": "en", "language_score": 0.9, "is_measured": True}
    columns = ["doc_id", *(name for source in sources(policy) for name in (*source.columns, source.flag) if name)]
    stated = [{"doc_id": str(i), **page, **row} for i, row in enumerate(rows)]
    arrays = [pa.array([row.get(name) for row in stated], TYPES.get(name, pa.bool_())) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, names=columns)


def closed(policy: Policy, batch: pa.RecordBatch, *rows: dict[str, object]) -> pa.RecordBatch:
    """Judged, and then closed with the `kind` of likenesses and the `cluster_size` that the rows state."""
    judged = eligibility(policy, batch)
    assert tuple(judged.schema.names) == ELIGIBILITY.column_names
    judged = judged.append_column("kind", pa.array([row.get("kind") for row in rows], pa.list_(pa.string())))
    sizes = pa.array([row.get("cluster_size") for row in rows], pa.int64())
    return decisions(policy, judged.append_column("cluster_size", sizes))


def decided(policy: Policy, *rows: dict[str, object]) -> list[tuple]:
    """(rejected_by, weight, bucket) of each row."""
    found = closed(policy, batch_of(policy, *rows), *rows)
    assert tuple(found.schema.names) == DECISIONS.column_names
    return [(row["rejected_by"], row["weight"], row["bucket"]) for row in found.to_pylist()]


def test_limits_of_a_language_replace_those_of_the_rule():
    policy = policy_of(
        rules=[
            {"signal": REPETITION, "max": 0.3},
            {"signal": "gopher_quality.mean_word_length", "min": 3, "max": 10, "name": "length"},
        ],
        languages=[
            {"language": "en"},
            {"language": "de", "limits": {REPETITION: {"max": 0.5}, "length": {"max": 15}}},
            {"language": "ja", "limits": {"length": None}},
        ],
    )
    repetition, length = "gopher_repetition_duplicate_line_fraction", "gopher_quality_mean_word_length"
    rows = [
        {"language": language, repetition: 0.4, length: n}
        for language, n in (("en", 12.0), ("de", 12.0), ("de", 1.0), ("de", 16.0), ("ja", 1.0))
    ]
    assert decided(policy, *rows) == [
        ([REPETITION, "length"], 0.0, None),
        ([], 1.0, None),
        ([], 1.0, None),
        (["length"], 0.0, None),
        ([REPETITION], 0.0, None),
    ]


def test_what_no_model_measured_rejects_nothing_and_weighs_nothing():
    policy = policy_of(
        rules=[{"signal": "quality.probability", "min": 0.5}],
        weigh=[{"signal": "toxicity.max_sentence", "above": 0.4, "factor": 0.2}],
    )
    rows = [
        {},
        {"quality_probability": 0.4},
        {"quality_probability": 0.5, "toxicity_max_sentence": 0.41},
        {"toxicity_max_sentence": 0.4},
    ]
    assert decided(policy, *rows) == [
        ([], 1.0, None),
        (["quality.probability"], 0.0, None),
        ([], 0.2, None),
        ([], 1.0, None),
    ]


def test_buckets_begin_at_their_limits_and_a_weight_of_zero_rejects():
    policy = policy_of(buckets={"limits": {"en": [300, 700]}, "weights": {"head": 2, "middle": 1, "tail": 0}})
    rows = [{"perplexity_value": value} for value in (299.9, 300.0, 699.9, 700.0, None)] + [
        {"perplexity_value": 1.0, "language": "de"}
    ]
    assert decided(policy, *rows) == [
        ([], 2.0, "head"),
        ([], 1.0, "middle"),
        ([], 1.0, "middle"),
        (["bucket.tail"], 0.0, "tail"),
        ([], 1.0, None),
        ([], 1.0, None),
    ]


def test_weights_multiply():
    policy = policy_of(
        weight=0.5,
        language_weights={"fr": 3},
        buckets={"limits": {"fr": [300, 700]}, "weights": {"head": 2}},
        weigh=[
            {"signal": "toxicity.max_sentence", "above": 0.4, "factor": 0.5},
            {"signal": "gopher_quality.word_count", "below": 100, "factor": 0.5},
        ],
        rehydration={1: 1, 2: 2, 5: 5, 100: 8, 1000: 1},
    )
    french = {
        "language": "fr",
        "perplexity_value": 1.0,
        "toxicity_max_sentence": 0.9,
        "gopher_quality_word_count": 99,
        "cluster_size": 7,
    }
    assert decided(policy, french, {}) == [([], 3 * 2 * 0.5 * 0.5 * 5, "head"), ([], 0.5, None)]
    sizes = (None, 1, 2, 4, 5, 99, 100, 999, 1000)
    assert [weight / 0.5 for _, weight, _ in decided(policy, *({"cluster_size": size} for size in sizes))] == [
        1,
        1,
        2,
        2,
        5,
        5,
        8,
        8,
        1,
    ]


def test_rights_reject_what_the_owner_reserves(tmp_path):
    opted_out = tmp_path / "opted_out.txt"
    opted_out.write_text("# as of today\nexample.org\nhttps://example.com/mine\n")
    rights = {
        "reject_robots": ["noai", "bot: noai"],
        "reject_tdm_reservation": True,
        "licences": ["by", "cc0"],
        "min_licence_confidence": 0.6,
    }
    policy = policy_of(rights=rights | {"opt_out_lists": [str(opted_out)]})
    free = {"licence": "by", "licence_confidence": 0.6, "url": "https://free.example/"}
    rows = [
        free,
        free | {"robots": ["noindex"], "tdm_reservation": 0},
        free | {"robots": ["noarchive", "noai"]},
        free | {"robots": ["bot: noai"], "tdm_reservation": 1},
        free | {"robots": []},
        free | {"licence": "by-nc"},
        free | {"licence": None, "licence_confidence": None},
        free | {"licence_confidence": 0.5},
        free | {"url": "http://www.example.org/page"},
        free | {"url": "http://example.com/mine#part"},
        free | {"url": "http://example.com/yours"},
        free | {"url": None},
    ]
    assert [rejected_by for rejected_by, _, _ in decided(policy, *rows)] == [
        [],
        [],
        ["rights.robots"],
        ["rights.robots", "rights.tdm_reservation"],
        [],
        ["rights.licence"],
        ["rights.licence"],
        ["rights.licence"],
        ["rights.opt_out"],
        ["rights.opt_out"],
        [],
        [],
    ]


def test_parts_of_evaluation_sets_reject_from_a_share_of_one_item_on():
    rows = [
        {"set_name": ["exam", "quiz"], "item_share": [0.5, 1.0]},
        {"set_name": ["exam"], "item_share": [0.49]},
        {"set_name": None, "item_share": None},
        {"set_name": ["quiz"], "item_share": [0.6]},
    ]
    names = [
        [rejected_by for rejected_by, _, _ in decided(policy_of(decontamination=keys), *rows)]
        for keys in ({"max_overlap": 0.5}, {"sets": ["quiz"]})
    ]
    assert names == [
        [["decontamination.exam", "decontamination.quiz"], [], [], ["decontamination.quiz"]],
        [["decontamination.quiz"], [], [], []],
    ]


def test_what_a_training_run_was_harmed_by_is_rejected_unless_the_policy_says_otherwise():
    rows = [{"incident_id": ["i1", "i2"]}, {"incident_id": None}, {"incident_id": ["i2"], "kind": ["near"]}]
    assert [rejected_by for rejected_by, _, _ in decided(policy_of(), *rows)] == [
        ["training.suspect"],
        [],
        ["training.suspect"],
    ]
    forgiving = policy_of(training={"suspects": False})
    assert "suspects" not in {source.table.name for source in sources(forgiving)}
    assert [rejected_by for rejected_by, _, _ in decided(forgiving, *rows)] == [[], [], ["duplicate.near"]]


def test_a_missing_list_is_an_error(tmp_path):
    policy = policy_of(rights={"opt_out_lists": [str(tmp_path / "nowhere.txt")]})
    with pytest.raises(UsageError, match=r"nowhere\.txt"):
        decided(policy, {"url": "https://free.example/"})


def test_a_record_without_text_meets_no_rule_but_its_own():
    policy = policy_of(languages=[{"language": "en"}], rules=["gopher_quality.word_count"], rights={"licences": ["by"]})
    nothing = {"language": None, "language_score": None, "is_measured": None}
    rows = [
        nothing | {"extract_status": "skipped", "extract_reason": "url.list", "kind": ["near"]},
        nothing | {"extract_status": "failed", "extract_reason": "timeout"},
    ]
    found = closed(policy, batch_of(policy, *rows), *rows).to_pylist()
    assert [(row["outcome"], row["rejected_by"], row["weight"]) for row in found] == [
        ("rejected", ["extract.url.list"], 0.0),
        ("failed", [], 0.0),
    ]


def test_a_document_with_text_that_was_never_measured_is_an_error():
    policy = policy_of()
    with pytest.raises(ContractError, match="7 has text but no signals"):
        judge(policy, batch_of(policy, {}, {"doc_id": "7", "is_measured": None}))


def test_nothing_in_gives_nothing_out():
    policy = policy_of(
        languages=[{"language": "en"}],
        rules=["gopher_quality.word_count"],
        buckets={"limits": {"en": [1, 2]}},
        rehydration={2: 2},
    )
    assert decided(policy) == []


def test_columns_that_no_rule_looks_at_are_not_asked_for():
    asked = {source.table.name: source.columns for source in sources(policy_of(duplicates={"exact": False}))}
    assert asked == {
        "documents": ("crawl", "extract_status", "extract_reason", "language", "language_score"),
        "signals": (),
        "suspects": ("incident_id",),
    }


VALUES = st.one_of(st.none(), st.floats(0, 1000))
ROWS = st.fixed_dictionaries(
    {
        "language": st.sampled_from(["en", "de", "fr", None]),
        "language_score": st.one_of(st.none(), st.floats(0, 1)),
        "perplexity_value": VALUES,
        "gopher_quality_word_count": st.integers(0, 200),
        "cluster_size": st.one_of(st.none(), st.integers(2, 2000)),
        "kind": st.sampled_from([["exact"], ["exact", "near"], ["url"], [], None]),
        "robots": st.one_of(st.none(), st.lists(st.sampled_from(["noai", "noindex"]))),
    }
)


@given(st.lists(ROWS, max_size=12), st.data())
def test_decisions_do_not_depend_on_how_rows_are_batched(rows, data):
    policy = policy_of(
        languages=[{"language": "en", "min_score": 0.5}, {"language": "de", "limits": {"words": {"max": 100}}}],
        rules=[{"signal": "gopher_quality.word_count", "min": 50, "max": None, "name": "words"}],
        buckets={"limits": {"en": [300, 700], "de": [1, 2]}, "weights": {"tail": 0}},
        rights={"reject_robots": ["noai"]},
        rehydration={2: 2, 1000: 1},
    )
    whole = batch_of(policy, *rows)
    cut = data.draw(st.integers(0, len(rows)))
    parts = [
        closed(policy, part, *some).to_pylist()
        for part, some in ((whole.slice(0, cut), rows[:cut]), (whole.slice(cut), rows[cut:]))
    ]
    together = closed(policy, whole, *rows).to_pylist()
    assert [row for part in parts for row in part] == together
    assert all((row["outcome"] == "kept") == (row["weight"] > 0) for row in together)
    for row, stated in zip(together, rows, strict=True):
        # Only what no other rule rejects is asked whether it repeats something.
        if any(rule.startswith("duplicate.") for rule in row["rejected_by"]):
            assert row["rejected_by"] == [f"duplicate.{kind}" for kind in stated["kind"]]
    found = judge(policy, whole)
    assert np.array_equal(found.eligible, found.weight > 0)
