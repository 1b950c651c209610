"""Enter trained and evaluated models in the lake's table `models`; one that is there already, with the same card, is
not entered again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from schemas.plumbing.configuration import config_json
from schemas.tables.models import MODELS
from spark_jobs.kernels.models.classifier import ClassifierCard
from spark_jobs.kernels.models.kenlm_model import LanguageModelCard
from spark_jobs.kernels.models.language_id_card import LanguageIdCard
from spark_jobs.kernels.models.model_card import ModelCard
from spark_jobs.lake import delta


def record_models(spark: SparkSession, lake: str, models: dict[Path, ModelCard]) -> int:
    """Append a row for each card; returns how many were new."""
    rows = [model_row(path, card) for path, card in models.items()]
    if delta.table_exists(spark, lake, MODELS):
        known = {tuple(row) for row in delta.read_table(spark, lake, MODELS).select(*MODELS.key).collect()}
        rows = [row for row in rows if tuple(row[name] for name in MODELS.key) not in known]
    if rows:
        delta.append_rows(spark.createDataFrame(rows, MODELS.spark()), lake, MODELS)
    return len(rows)


def model_row(path: Path, card: ModelCard) -> dict[str, object]:
    metric, value = headline(card)
    return {
        "kind": card.kind,
        "name": path.name,
        "language": card.language,
        "path": str(path),
        "sha256": card.sha256,
        "holdout_documents": card.holdout_documents,
        "metric": metric,
        "value": value if value is not None and math.isfinite(value) else None,
        "card": config_json(card),
        "recorded_at": datetime.now(UTC),
    }


def headline(card: ModelCard) -> tuple[str, float | None]:
    """The one figure that says most of a model, and its name."""
    if isinstance(card, LanguageModelCard):
        return "median perplexity", next(
            (point.perplexity for point in card.percentiles if point.percentile == 50), None
        )
    if isinstance(card, LanguageIdCard):
        return "mean accuracy of the languages that it knows", card.macro_accuracy_of_known
    assert isinstance(card, ClassifierCard)
    return ("area under the curve", card.auc) if card.auc is not None else ("accuracy", card.accuracy)
