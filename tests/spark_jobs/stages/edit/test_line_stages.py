"""Rules on lines, measures of lines, bad words and spaCy's words, on Spark."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.plumbing.errors import UsageError
from schemas.tables.decisions import DECISIONS
from schemas.tables.line_signals import LINE_SIGNALS
from schemas.tables.spans import LINE_SPANS
from spark_jobs.kernels.measures.spacy_words import split_words_by_spacy
from spark_jobs.lake import delta
from spark_jobs.signals import measure
from spark_jobs.stages.edit import edit_lines
from spark_jobs.stages.measure import score_lines, score_signals

pytestmark = pytest.mark.spark

_DECISION = {"crawl": "c1", "policy": "p", "outcome": "kept", "rejected_by": [], "weight": 1.0}


@pytest.fixture
def decisions_of(spark):
    def build(*rows):
        return spark.createDataFrame(
            [tuple((_DECISION | row).get(name) for name in DECISIONS.column_names) for row in rows], DECISIONS.spark()
        )

    return build


def test_rules_on_lines_become_spans_of_kept_documents(spark, documents_of, decisions_of, tmp_path):
    documents = documents_of(
        {"doc_id": "a", "text": "Home\nIt works [2] well."},
        {"doc_id": "b", "text": "Home\n"},
        {"doc_id": "c", "text": "It all stays here."},
    )
    decisions = decisions_of({"doc_id": "a"}, {"doc_id": "b", "outcome": "rejected", "weight": 0.0}, {"doc_id": "c"})
    spans = edit_lines.transform(
        documents.repartition(2), decisions, config=edit_lines.Config(rules=["c4.*", "refinedweb.one_word"])
    )
    delta.write_table(spans, str(tmp_path), LINE_SPANS)
    rows = {tuple(row) for row in delta.read_table(spark, str(tmp_path), LINE_SPANS).collect()}
    assert rows == {
        ("a", "c1", "line", "c4.short", 0, 5, ""),
        ("a", "c1", "line", "refinedweb.one_word", 0, 5, ""),
        ("a", "c1", "line", "c4.citation", 14, 17, ""),
    }
    assert edit_lines.transform(documents_of(), decisions, config=edit_lines.Config(rules=["c4.short"])).collect() == []


def test_lines_are_off_unless_asked_for_and_unknown_rules_are_refused():
    assert not edit_lines.STAGE.enabled(edit_lines.Config())
    assert not score_lines.STAGE.enabled(score_lines.Config())
    with pytest.raises(ValidationError, match=r"no such rules: c4\.shrt"):
        edit_lines.Config(rules=["c4.shrt"])
    with pytest.raises(ValidationError, match=r"no such rules: c5\.\*"):
        edit_lines.Config(rules=["c5.*"])


def test_the_table_of_lines_has_an_item_for_each_line(spark, documents_of, tmp_path):
    documents = documents_of({"doc_id": "a", "text": "One line.\nANOTHER"}, {"doc_id": "b", "text": ""})
    delta.write_table(
        score_lines.transform(documents, config=score_lines.Config(enabled=True)), str(tmp_path), LINE_SIGNALS
    )
    rows = {row.doc_id: row for row in delta.read_table(spark, str(tmp_path), LINE_SIGNALS).collect()}
    assert rows["a"].n_words == [2, 1]
    assert rows["a"].uppercase_letter_fraction == [1 / 9, 1.0]
    assert rows["b"].starts == []


def test_bad_words_are_counted_for_languages_with_a_list(documents_of, tmp_path):
    (tmp_path / "en").write_text("drat\nbother it\n", encoding="utf-8")
    (tmp_path / "ja").write_text("sm\n\u3060\u3081\n", encoding="utf-8")
    config = score_signals.Config(bad_words=tmp_path)
    documents = documents_of(
        {"doc_id": "two", "language": "en", "text": "Drat! Oh drat, bother it."},
        {"doc_id": "none", "language": "en", "text": "A dratted botherer."},
        {"doc_id": "unspaced", "language": "ja", "text": "\u305d\u308c\u306f\u3060\u3081\u3067\u3059 sm"},
        {"doc_id": "no list", "language": "de", "text": "Drat!"},
    )
    counted = {row.doc_id: row.c4_bad_words for row in score_signals.transform(documents, config=config).collect()}
    assert counted == {"two": 2, "none": 0, "unspaced": 1, "no list": None}
    assert score_signals.configured_models(config) == {"bad_words"}
    assert len(score_signals.used_models(config)) == 2
    with pytest.raises(UsageError, match="no lists"):
        score_signals.used_models(score_signals.Config(bad_words=tmp_path / "absent"))


def test_words_may_be_spacy_s(documents_of):
    pytest.importorskip("spacy", reason="spaCy is not installed: pip install headwater[pii]")
    text = "Mr. Fox cannot go. " * 30
    rows = score_signals.transform(
        documents_of({"doc_id": "a", "language": "en", "text": text}), config=score_signals.Config(words="spacy")
    ).collect()
    assert tuple(rows[0])[2:] == measure(text, split=split_words_by_spacy)
    assert tuple(rows[0])[2:] != measure(text)
