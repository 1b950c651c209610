"""Signals of documents on Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.kernels.models.fasttext_model import FastTextConfig
from spark_jobs.lake import delta
from spark_jobs.models.classifier import ClassifierConfig, train_classifier
from spark_jobs.signals import SIGNALS, SIGNALS_TABLE, measure
from spark_jobs.stages.measure.score_signals import Config, configured_models, transform, used_models

pytestmark = pytest.mark.spark

TEXTS = {
    "a": "The cat sat on the mat.\nThe cat sat on the mat.",
    "b": "\u4f60\u597d\u3002\x00",
    "c": "word " * 2000,
    "d": "\n",
}


def test_each_extracted_document_has_the_values_of_its_text(documents_of):
    documents = documents_of(
        *({"doc_id": doc_id, "text": text} for doc_id, text in TEXTS.items()),
        {"doc_id": "skipped", "extract_status": "skipped", "extract_reason": "mime", "text_hash": None},
        {"doc_id": "failed", "extract_status": "failed", "extract_reason": "timeout", "text_hash": None},
    )
    rows = transform(documents.repartition(3), config=Config()).collect()
    actual = {row.doc_id: tuple(row)[2:] for row in rows}
    assert actual == {doc_id: measure(text) for doc_id, text in TEXTS.items()}


def test_the_table_accepts_what_is_measured_and_refuses_what_cannot_be(spark, documents_of, tmp_path):
    scores = transform(
        documents_of(*({"doc_id": doc_id, "text": text} for doc_id, text in TEXTS.items())), config=Config()
    )
    delta.write_table(scores, str(tmp_path), SIGNALS_TABLE)
    assert delta.read_table(spark, str(tmp_path), SIGNALS_TABLE).count() == len(TEXTS)
    impossible = tuple(
        float("nan")
        if name == "gopher_quality_mean_word_length"
        else None
        if kind == "string"
        else 0
        if kind == "bigint"
        else 0.0
        for name, kind in scores.dtypes[2:]
    )
    with pytest.raises(Exception, match="values_in_range"):
        delta.write_table(
            spark.createDataFrame([("x", "c1", *impossible)], SIGNALS_TABLE.spark()), str(tmp_path), SIGNALS_TABLE
        )


def test_no_documents_have_no_signals(documents_of):
    scores = transform(documents_of(), config=Config())
    assert scores.collect() == []
    assert len(scores.columns) == 2 + len(SIGNALS) + 1


def test_models_score_the_documents_of_their_languages(documents_of, tmp_path):
    examples = [
        (label, f"{words} number {i}")
        for label, words in (("positive", "river meadow hill"), ("negative", "click buy cheap"))
        for i in range(40)
    ]
    training = ClassifierConfig(fasttext=FastTextConfig(bucket=1000, min_count=1, dim=8, epoch=25))
    train_classifier("quality", examples, "positive", (), tmp_path / "quality.bin", training)
    train_classifier("topic", examples, None, (), tmp_path / "topic.bin", training)
    config = Config.model_validate(
        {
            "models": {
                "quality": {"path": tmp_path / "quality.bin", "languages": ["en"]},
                "topic": str(tmp_path / "topic.bin"),
            }
        }
    )
    assert configured_models(config) == {"quality", "topic"}
    assert sorted(Path(name).name for name in used_models(config)) == [
        "quality.bin",
        "quality.json",
        "topic.bin",
        "topic.json",
    ]
    documents = documents_of(
        {"doc_id": "good", "text": "river meadow hill", "language": "en"},
        {"doc_id": "bad", "text": "click buy cheap", "language": "en"},
        {"doc_id": "other", "text": "river meadow hill", "language": "de"},
        {"doc_id": "unknown", "text": "river meadow hill"},
    )
    rows = {row.doc_id: row for row in transform(documents, config=config).collect()}
    assert rows["good"].quality_probability > 0.9 > 0.1 > rows["bad"].quality_probability
    assert rows["other"].quality_probability is None
    assert rows["unknown"].quality_probability is None
    assert {doc_id: row.topic_label for doc_id, row in rows.items()} == {
        "good": "positive",
        "bad": "negative",
        "other": "positive",
        "unknown": "positive",
    }
    assert (
        {row.perplexity_value for row in rows.values()}
        == {row.toxicity_max_sentence for row in rows.values()}
        == {None}
    )
    assert Config() != config
    assert used_models(Config()) == {}
