"""Train a fastText classifier (Joulin et al. 2017, arXiv:1607.01759): quality, topic, toxicity or nsfw; measured,
calibrated, with thresholds by share.

Quality is DCLM's recipe: reference texts against random pages, and the share of pages to keep gives the threshold
(Li et al. 2024, arXiv:2406.11794, section 4.4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xxhash
from pydantic import Field

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import file_sha256
from spark_jobs.kernels.models.calibration import (
    area_under_curve,
    calibration_error,
    calibration_table,
    confusions,
    label_figures,
    threshold_for_share,
)
from spark_jobs.kernels.models.classifier import ClassifierCard, ShareThreshold
from spark_jobs.kernels.models.fasttext_model import FastTextConfig, FastTextModel, train
from spark_jobs.kernels.models.model_card import SourceFile, write_card
from spark_jobs.kernels.models.training_texts import Labelled, in_holdout, read_documents
from spark_jobs.kernels.text_hash import text_hash

POSITIVE, NEGATIVE = "positive", "negative"
MOST_CONFUSIONS = 20

KINDS = ("quality", "topic", "toxicity", "nsfw")


class ClassifierConfig(Config):
    """How to train a classifier."""

    holdout: float = Field(default=0.2, gt=0, lt=1)
    """Share of the texts kept back to measure and calibrate on."""
    target_shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.5)
    """Shares of the texts without the label for which the card gives the threshold that they reach."""
    seed: int = Field(default=1, ge=0)
    """Chooses the hold-out and the order of the texts."""
    fasttext: FastTextConfig = FastTextConfig()
    """Settings of fastText."""


def two_classes(positive: tuple[Path, ...], negative: tuple[Path, ...], separator: str | None) -> Iterable[Labelled]:
    """Documents of both sides with the labels `positive` and `negative`."""
    for label, paths in ((POSITIVE, positive), (NEGATIVE, negative)):
        for text in read_documents(paths, separator):
            yield label, text


def train_classifier(
    kind: str,
    examples: Iterable[Labelled],
    positive: str | None,
    sources: tuple[SourceFile, ...],
    model: Path,
    config: ClassifierConfig,
) -> ClassifierCard:
    """Train, write `model` and its card. `positive` is the label whose probability is the signal; None for topics.

    Raises `UsageError` where the texts do not suffice and `HeadwaterError` where training diverges.
    """
    kept, holdout = split(examples, config)
    labels = {label for label, _ in kept}
    if len(labels) < 2 or {label for label, _ in holdout} != labels:
        raise UsageError(
            f"training needs texts of two labels or more, also among those kept back; there are {describe(kept)}; kept "
            f"back {describe(holdout)}"
        )
    if positive is not None and positive not in labels:
        raise UsageError(f"no text has the label {positive}; there are {', '.join(sorted(labels))}")
    train(kept, model, config.fasttext)
    parameters = {"holdout": config.holdout, "seed": config.seed} | config.fasttext.model_dump(exclude={"seed"})
    card = ClassifierCard(
        kind=kind,
        sha256=file_sha256(model),
        sources=sources,
        training_documents=len(kept),
        positive=positive,
        parameters=parameters,
        **measure_classifier(FastTextModel(str(model)), holdout, positive, config.target_shares),
    )
    write_card(model, card)
    return card


def split(examples: Iterable[Labelled], config: ClassifierConfig) -> tuple[list[Labelled], list[Labelled]]:
    """Distinct texts to train on, mixed by hash, and the hold-out. A text that occurs under two labels counts for
    the first."""
    kept: dict[str, Labelled] = {}
    holdout: dict[str, Labelled] = {}
    for label, text in examples:
        side = holdout if in_holdout(text, config.holdout, config.seed) else kept
        side.setdefault(text_hash(text), (label, text))

    def place(example: Labelled) -> int:
        return xxhash.xxh3_64_intdigest(example[1].encode(), seed=config.seed)

    return sorted(kept.values(), key=place), sorted(holdout.values(), key=place)


def measure_classifier(
    model: FastTextModel, holdout: list[Labelled], positive: str | None, shares: tuple[float, ...]
) -> dict[str, object]:
    """The measured fields of the card. Without a positive label the calibration is that of the most probable one."""
    gold = [label for label, _ in holdout]
    texts = [text for _, text in holdout]
    found, confidences = model.top_labels(texts)
    scores = np.array(model.probabilities(texts, positive) if positive is not None else confidences)
    holds = (
        np.array([label == positive for label in gold])
        if positive is not None
        else np.array([a == b for a, b in zip(gold, found, strict=True)])
    )
    measured: dict[str, object] = {
        "holdout_documents": len(holdout),
        "accuracy": sum(a == b for a, b in zip(gold, found, strict=True)) / len(gold),
        "calibration_error": calibration_error(holds, scores),
        "labels": label_figures(gold, found),
        "confusions": confusions(gold, found, MOST_CONFUSIONS),
        "calibration": calibration_table(holds, scores),
    }
    if positive is not None:
        thresholds = tuple(
            ShareThreshold(share=share, threshold=threshold_for_share(scores[~holds], share)) for share in shares
        )
        measured |= {"auc": area_under_curve(holds, scores), "thresholds": thresholds}
    return measured


def describe(examples: list[Labelled]) -> str:
    counts = Counter(label for label, _ in examples)
    return ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "none"


def card_lines(card: ClassifierCard) -> list[str]:
    """Figures of the hold-out, and the thresholds to choose from."""
    lines = [
        f"{card.kind}: trained on {card.training_documents:,} texts, measured on {card.holdout_documents:,} kept back"
    ]
    lines += [
        f"  {figure.label:<24} precision {figure.precision:.3f}  recall {figure.recall:.3f}  texts {figure.texts:,}"
        for figure in card.labels
    ]
    auc = f", area under the curve {card.auc:.4f}" if card.auc is not None else ""
    lines.append(f"  accuracy {card.accuracy:.4f}{auc}, calibration error {card.calibration_error:.4f}")
    lines += [f"  {pair.label} taken for {pair.taken_for}: {pair.texts:,}" for pair in card.confusions[:10]]
    lines += [
        f"  a probability of {point.probability:.4f} is worth {point.share:.4f} ({point.texts:,} texts)"
        for point in card.calibration
    ]
    lines += [
        f"  {threshold.share:.1%} of the texts without the label reach {threshold.threshold:.6f}"
        for threshold in card.thresholds
    ]
    return lines
