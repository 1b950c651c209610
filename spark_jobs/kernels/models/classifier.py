"""A fastText classifier as a signal's source: which label counts, for which languages, and what its card says of it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import file_sha256
from spark_jobs.kernels.models.calibration import CalibrationPoint, Confusion, LabelFigures, calibrated
from spark_jobs.kernels.models.fasttext_model import FastTextModel, load_model, require_model
from spark_jobs.kernels.models.model_card import ModelCard, card_path, read_card
from spark_jobs.kernels.models.model_scores import SentenceScores, Topic


class ShareThreshold(Config):
    """A limit that a share of the texts reaches."""

    share: float
    """Share of the hold-out's texts without the label that reach the threshold."""
    threshold: float
    """Probability of the label."""


class ClassifierCard(ModelCard):
    """The card of a classifier."""

    kind: Literal["quality", "topic", "toxicity", "nsfw"]
    positive: str | None = None
    """The label whose probability is the signal; null for a topic model, whose every label counts."""
    accuracy: float = 0.0
    """Share of the hold-out whose most probable label is the right one."""
    auc: float | None = None
    """Area under the ROC curve of the positive label's probability."""
    calibration_error: float | None = None
    """Mean distance of probability and share in bins of equal size."""
    labels: tuple[LabelFigures, ...] = ()
    """Figures by label, each text counted for its most probable label."""
    confusions: tuple[Confusion, ...] = ()
    """The most frequent mistakes."""
    calibration: tuple[CalibrationPoint, ...] = ()
    """From the model's probability to the share that holds, at the mix of labels of the hold-out."""
    thresholds: tuple[ShareThreshold, ...] = ()
    """Limits by target share."""


class ClassifierModel(Config):
    """A fastText classifier. It may be written as its bare path."""

    path: Path
    """The model's file. Workers need it at the same path."""
    label: str | None = None
    """The label whose probability is the signal; nothing means the one that the model's card names."""
    languages: tuple[str, ...] = ()
    """Languages that it can judge; texts of others have no value. Empty means all."""
    calibrated: bool = False
    """Whether probabilities are corrected by the calibration table of the card; published thresholds are for
    probabilities as they are."""

    @model_validator(mode="before")
    @classmethod
    def from_a_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value


class SentenceClassifier(ClassifierModel):
    """A fastText classifier that reads sentence by sentence. It may be written as its bare path."""

    threshold: float = Field(default=0.4, ge=0, le=1)
    """Probability above which a sentence counts; Dolma removes sentences from 0.4 on (Soldaini et al. 2024, section
    3.1.3)."""


class Classifier:
    """A classifier in memory, ready for texts of any language that it can judge."""

    def __init__(self, config: ClassifierModel, *, kind: str) -> None:
        self._config = config
        self._model: FastTextModel = load_model(str(config.path))
        card = require_classifier(config, kind)
        self._table = card.calibration if card is not None and config.calibrated else ()
        self._threshold = config.threshold if isinstance(config, SentenceClassifier) else 0.0
        self._label = "" if kind == "topic" else positive_label(config, card, self._model.labels)

    def judges(self, language: str | None) -> bool:
        return not self._config.languages or language in self._config.languages

    def probability(self, text: str) -> float:
        """Of the positive label, for the text as one line."""
        return self._corrected(self._model.probabilities([text], self._label)[0])

    def sentence_scores(self, sentences: list[str]) -> SentenceScores:
        """Over the sentences of a text; zero where there are none."""
        scores = [self._corrected(score) for score in self._model.probabilities(sentences, self._label)]
        return SentenceScores(
            max(scores, default=0.0), sum(score > self._threshold for score in scores) / max(1, len(scores))
        )

    def topic(self, text: str) -> Topic:
        labels, confidences = self._model.top_labels([text])
        return Topic(labels[0], self._corrected(confidences[0]))

    def _corrected(self, probability: float) -> float:
        return calibrated(self._table, probability) if self._table else probability


def require_classifier(config: ClassifierModel, kind: str) -> ClassifierCard | None:
    """The card of a model that can be loaded, if it has one. Raises `UsageError` where the model is missing or its
    card is for something else."""
    require_model(str(config.path))
    card = read_card(config.path, ClassifierCard)
    if card is not None and card.kind != kind:
        raise UsageError(f"{config.path}: its card says that it is a {card.kind} model, not a {kind} model")
    if config.calibrated and (card is None or not card.calibration):
        raise UsageError(
            f"{config.path}: has no calibration table in {card_path(config.path).name}, but calibrated is on"
        )
    return card


def positive_label(config: ClassifierModel, card: ClassifierCard | None, labels: tuple[str, ...]) -> str:
    """The label that counts; raises `UsageError` where neither configuration nor card names one that the model has."""
    label = config.label or (card.positive if card is not None else None)
    if label is None:
        raise UsageError(f"{config.path}: which label counts? give `label`, one of {', '.join(labels[:10])}")
    if label not in labels:
        near = difflib.get_close_matches(label, labels, n=1)
        raise UsageError(f"{config.path}: has no label {label}; it has {', '.join(near or labels[:10])}")
    return label


def classifier_files(config: ClassifierModel, kind: str) -> dict[str, str]:
    """The model's file, and its card's if there is one, with SHA-256. Raises `UsageError` where they do not belong
    together."""
    card = require_classifier(config, kind)
    if kind != "topic":
        positive_label(config, card, load_model(str(config.path)).labels)
    hashes = {str(path): file_sha256(path) for path in (config.path, card_path(config.path)) if path.is_file()}
    if card is not None and card.sha256 and card.sha256 != hashes[str(config.path)]:
        raise UsageError(
            f"{config.path}: not the model that its card describes: SHA-256 {hashes[str(config.path)]} is not "
            f"{card.sha256}"
        )
    return hashes
