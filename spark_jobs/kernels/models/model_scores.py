"""What the models say of one text; nothing where a model is not given, or not for the text's language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SentenceScores:
    """A classifier's probabilities over the sentences of a text, in brief."""

    maximum: float
    """Of the worst sentence."""
    fraction: float
    """Sentences above the threshold, of all."""


@dataclass(frozen=True)
class Topic:
    """The most probable label of a text, and its probability."""

    label: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class ModelScores:
    """One field for each kind of model; `Signal.model` names the field that a signal is measured on."""

    perplexity: float | None = None
    quality: float | None = None
    toxicity: SentenceScores | None = None
    nsfw: SentenceScores | None = None
    topic: Topic | None = None
    bad_words: int | None = None
    """Different words of the list for the language; a list, but by path as models are."""


NO_SCORES = ModelScores()
