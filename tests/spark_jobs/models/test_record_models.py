"""Entering models in the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.plumbing.command_line import run_command
from schemas.tables.models import MODELS
from spark_jobs.commands.corpus import app
from spark_jobs.kernels.models.classifier import ClassifierCard
from spark_jobs.kernels.models.model_card import read_card
from spark_jobs.lake import delta
from spark_jobs.models.record_models import model_row, record_models

pytestmark = pytest.mark.spark


def test_a_figure_that_is_no_number_is_entered_as_null():
    assert model_row(Path("m.bin"), ClassifierCard(kind="quality", auc=float("nan")))["value"] is None


def test_the_command_trains_a_classifier_and_enters_it_once(spark, tmp_path, capsys):
    lake = str(tmp_path / "lake")
    for name, words in (("good", "river meadow hill valley"), ("bad", "click buy cheap now")):
        (tmp_path / f"{name}.txt").write_text("".join(f"{words} number {i}\n\n" for i in range(60)), encoding="utf-8")
    command = [
        "train",
        "classifier",
        "--kind",
        "quality",
        "--out",
        str(tmp_path),
        "--target-share",
        "0.1",
        "--lake",
        lake,
    ]
    files = [
        "--positive",
        str(tmp_path / "go*.txt"),
        "--negative",
        str(tmp_path / "bad.txt"),
        "--set",
        "fasttext.bucket=1000",
    ]
    assert run_command(app, "corpus", [*command, *files]) == 0
    assert "10.0% of the texts without the label reach 0." in capsys.readouterr().out
    model = tmp_path / "quality.bin"
    assert record_models(spark, lake, {model: read_card(model, ClassifierCard)}) == 0, "it is there already"
    assert [(row.kind, row.name, row.value) for row in delta.read_table(spark, lake, MODELS).collect()] == [
        ("quality", "quality.bin", 1.0)
    ]
    for wrong in (["--kind", "beauty"], ["--kind", "topic", *files]):
        assert run_command(app, "corpus", ["train", "classifier", "--out", str(tmp_path), *wrong]) == 2
