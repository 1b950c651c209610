"""All models that score documents: which are given, and what they say of one text."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field

from schemas.plumbing.configuration import Config
from spark_jobs.kernels.file_identity import Versions, file_versions
from spark_jobs.kernels.measures.sentences import split_sentences
from spark_jobs.kernels.models.classifier import (
    Classifier,
    ClassifierModel,
    SentenceClassifier,
    classifier_files,
    require_classifier,
)
from spark_jobs.kernels.models.kenlm_model import (
    LanguageModel,
    files_of_language_model,
    language_model_files,
    require_language_model,
)
from spark_jobs.kernels.models.model_card import card_path
from spark_jobs.kernels.models.model_scores import ModelScores

CLASSIFIERS = ("quality", "toxicity", "nsfw", "topic")


class ModelsConfig(Config):
    """Models that score documents, all by path; without a model its signals are null. `corpus train` makes them."""

    perplexity: dict[str, Path] = Field(default={})
    """KenLM models by language, as the language model names it; the card beside each says how it reads a text."""
    quality: ClassifierModel | None = None
    """Classifier of reference text against random pages."""
    toxicity: SentenceClassifier | None = None
    """Classifier of toxic sentences."""
    nsfw: SentenceClassifier | None = None
    """Classifier of sentences that are not safe for work."""
    topic: ClassifierModel | None = None
    """Classifier of topics."""

    def classifiers(self) -> dict[str, ClassifierModel]:
        """The classifiers that are given, by kind."""
        return {kind: model for kind in CLASSIFIERS if (model := getattr(self, kind)) is not None}

    def kinds(self) -> frozenset[str]:
        """The kinds of model that are given."""
        return frozenset(self.classifiers()) | ({"perplexity"} if self.perplexity else frozenset())


class DocumentScorer:
    """The given models in memory."""

    def __init__(self, config: ModelsConfig) -> None:
        self._perplexity = {language: LanguageModel(path) for language, path in config.perplexity.items()}
        self._classifiers = {kind: Classifier(model, kind=kind) for kind, model in config.classifiers().items()}

    def score(self, text: str, language: str | None) -> ModelScores:
        """What each model says; None where there is none for the language."""
        perplexity = self._perplexity.get(language or "")
        quality, toxicity, nsfw, topic = (self._classifier(kind, language) for kind in CLASSIFIERS)
        sentences = split_sentences(text) if toxicity or nsfw else []
        return ModelScores(
            perplexity=perplexity.perplexity(text) if perplexity else None,
            quality=quality.probability(text) if quality else None,
            toxicity=toxicity.sentence_scores(sentences) if toxicity else None,
            nsfw=nsfw.sentence_scores(sentences) if nsfw else None,
            topic=topic.topic(text) if topic else None,
        )

    def _classifier(self, kind: str, language: str | None) -> Classifier | None:
        classifier = self._classifiers.get(kind)
        return classifier if classifier is not None and classifier.judges(language) else None


def load_scorer(config_json: str) -> DocumentScorer:
    """The scorer of a `ModelsConfig` in JSON, made once in the life of a worker and again when a model or its card
    changes."""
    config = ModelsConfig.model_validate_json(config_json)
    perplexity = [file for path in config.perplexity.values() for file in files_of_language_model(path)]
    classifiers = [file for model in config.classifiers().values() for file in (model.path, card_path(model.path))]
    return _make_scorer(config_json, file_versions([*perplexity, *classifiers]))


@lru_cache(maxsize=1)
def _make_scorer(config_json: str, versions: Versions) -> DocumentScorer:
    return DocumentScorer(ModelsConfig.model_validate_json(config_json))


def require_models_present(config: ModelsConfig) -> None:
    """Raises `UsageError` for a model that is not there or has the wrong card; no model is read, so that a run can
    ask before it begins."""
    for path in config.perplexity.values():
        require_language_model(path)
    for kind, model in config.classifiers().items():
        require_classifier(model, kind)


def model_files(config: ModelsConfig) -> dict[str, str]:
    """Every file that the scores depend on, with its SHA-256, for the ledger; raises `UsageError` for a model that
    cannot be used."""
    files: dict[str, str] = {}
    for path in config.perplexity.values():
        files |= language_model_files(path)
    for kind, model in config.classifiers().items():
        files |= classifier_files(model, kind)
    return files
