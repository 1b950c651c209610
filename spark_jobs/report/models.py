"""The models that were trained or measured for this lake, and how good each is on texts that were kept back."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyspark.sql import functions as F

from schemas.tables.models import MODELS
from spark_jobs.lake.tables import Tables

MOST_MODELS = 60
"""Newest models that the page shows."""


@dataclass(frozen=True)
class LabelResult:
    """Texts of the hold-out that have a label, that the model gave it to, and of which both is true."""

    label: str
    texts: int
    found: int
    right: int


@dataclass(frozen=True)
class Model:
    """One row of `models`, with what its card says in a form for tables; pairs are a number and what it stands at."""

    kind: str
    name: str
    language: str | None
    sha256: str
    holdout_documents: int
    metric: str
    value: float | None
    labels: tuple[LabelResult, ...]
    confusions: tuple[tuple[str, str, int], ...]
    percentiles: tuple[tuple[int, float], ...]
    calibration: tuple[tuple[float, float], ...]
    thresholds: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Models:
    """All models, and the accuracy of those that identify languages, a row a language and a cell a model."""

    models: tuple[Model, ...]

    @property
    def of_languages(self) -> tuple[Model, ...]:
        return tuple(model for model in self.models if model.kind == "language-id")

    @property
    def languages(self) -> tuple[tuple[str, tuple[LabelResult | None, ...]], ...]:
        """None in a cell where the hold-out of the model had no text of the language."""
        by_model = [{result.label: result for result in model.labels if result.texts} for model in self.of_languages]
        names = sorted(set().union(*by_model))
        return tuple((name, tuple(results.get(name) for results in by_model)) for name in names)


def gather_models(tables: Tables) -> Models:
    """The newest models, by kind; a card is read as far as its fields are there."""
    newest = (
        tables.of(MODELS).orderBy(F.col("recorded_at").desc(), "kind", "name", "sha256").limit(MOST_MODELS).collect()
    )
    return Models(
        tuple(
            read_model(row.asDict())
            for row in sorted(newest, key=lambda row: (row["kind"], row["recorded_at"], row["name"]))
        )
    )


def read_model(row: dict) -> Model:  # type: ignore[type-arg]
    card = json.loads(row["card"])
    figures = card.get("languages") or card.get("labels") or []
    return Model(
        kind=row["kind"],
        name=row["name"],
        language=row["language"],
        sha256=row["sha256"],
        holdout_documents=row["holdout_documents"],
        metric=row["metric"],
        value=row["value"],
        labels=tuple(LabelResult(one["label"], one["texts"], one["found"], one["right"]) for one in figures),
        confusions=tuple((one["label"], one["taken_for"], one["texts"]) for one in card.get("confusions", [])),
        percentiles=tuple((one["percentile"], one["perplexity"]) for one in card.get("percentiles", [])),
        calibration=tuple((one["probability"], one["share"]) for one in card.get("calibration", [])),
        thresholds=tuple((one["share"], one["threshold"]) for one in card.get("thresholds", [])),
    )
