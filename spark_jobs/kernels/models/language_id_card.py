"""How well a language identification model names the languages of labelled texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from spark_jobs.kernels.models.calibration import Confusion, LabelFigures, confusions, label_figures, macro_recall
from spark_jobs.kernels.models.fasttext_model import FastTextModel
from spark_jobs.kernels.models.model_card import ModelCard
from spark_jobs.kernels.models.training_texts import Labelled

MOST_CONFUSIONS = 50


class LanguageIdCard(ModelCard):
    """The card of a language identification model, or of one of others as measured on the same texts."""

    kind: Literal["language-id"]
    known_languages: int = 0
    """Languages of the hold-out that the model has a label for."""
    accuracy: float = 0.0
    """Share of all texts of the hold-out whose language it names."""
    accuracy_of_known: float = 0.0
    """The same over texts in the languages that it has a label for."""
    macro_accuracy: float = 0.0
    """Mean over the languages of the hold-out of each one's accuracy."""
    macro_accuracy_of_known: float = 0.0
    """The same over the languages that it has a label for."""
    languages: tuple[LabelFigures, ...] = ()
    """Figures by language."""
    confusions: tuple[Confusion, ...] = ()
    """The most frequent mistakes."""


def measure_language_id(
    model: FastTextModel, names: Mapping[str, str], holdout: Sequence[Labelled]
) -> dict[str, object]:
    """The measured fields of the card. `names` gives each label of the model the name that the hold-out's labels
    have."""
    gold = [label for label, _ in holdout]
    labels, _ = model.top_labels(text for _, text in holdout)
    found = [names.get(label, label) for label in labels]
    known = set(names.values()) & set(gold)
    figures = label_figures(gold, found)
    of_known = [figure for figure in figures if figure.label in known]
    return {
        "holdout_documents": len(holdout),
        "known_languages": len(known),
        "accuracy": sum(figure.right for figure in figures) / max(1, len(gold)),
        "accuracy_of_known": sum(figure.right for figure in of_known)
        / max(1, sum(figure.texts for figure in of_known)),
        "macro_accuracy": macro_recall(figures),
        "macro_accuracy_of_known": macro_recall(of_known),
        "languages": figures,
        "confusions": confusions(gold, found, MOST_CONFUSIONS),
    }
