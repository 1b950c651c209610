"""How good a classifier's probabilities are, and what they are worth: figures over a hold-out, for cards and
reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.plumbing.configuration import Config

type Numbers = NDArray[np.float64]

BINS = 20
"""Bins of equal size that a calibration table is made from."""


class LabelFigures(Config):
    """How well one label is found on the hold-out."""

    label: str
    """The label, as the model gives it."""
    texts: int
    """Texts of the hold-out that have it."""
    found: int
    """Texts that the model gave it to."""
    right: int
    """Texts of which both is true."""

    @property
    def recall(self) -> float:
        """Share of the label's texts that are found: its accuracy."""
        return self.right / self.texts if self.texts else 0.0

    @property
    def precision(self) -> float:
        """Share of the texts given the label that have it."""
        return self.right / self.found if self.found else 0.0


class Confusion(Config):
    """How often one label was taken for another."""

    label: str
    """The right one."""
    taken_for: str
    """The model's."""
    texts: int
    """Of the hold-out."""


class CalibrationPoint(Config):
    """A point of the calibration: straight lines between the points turn the model's probability into the share that
    held on the hold-out."""

    probability: float
    """Mean probability that the model gave in a bin."""
    share: float
    """Share of the texts of the bin that have the label, made monotone."""
    texts: int
    """Size of the bin."""


def label_figures(gold: Sequence[str], found: Sequence[str]) -> tuple[LabelFigures, ...]:
    """One for each label that occurs in either, in alphabetical order."""
    texts, given = Counter(gold), Counter(found)
    right = Counter(a for a, b in zip(gold, found, strict=True) if a == b)
    return tuple(
        LabelFigures(label=label, texts=texts[label], found=given[label], right=right[label])
        for label in sorted(texts | given)
    )


def confusions(gold: Sequence[str], found: Sequence[str], most: int) -> tuple[Confusion, ...]:
    """The most frequent wrong pairs, the largest first."""
    wrong = Counter((a, b) for a, b in zip(gold, found, strict=True) if a != b)
    ordered = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(label=label, taken_for=taken, texts=texts) for (label, taken), texts in ordered[:most])


def macro_recall(figures: Sequence[LabelFigures]) -> float:
    """Mean recall of the labels that the hold-out has."""
    recalls = [figure.recall for figure in figures if figure.texts]
    return sum(recalls) / len(recalls) if recalls else 0.0


def area_under_curve(positive: NDArray[np.bool_], scores: Numbers) -> float:
    """Probability that a positive text scores above a negative one, ties counted half (Mann-Whitney); NaN where one
    side is empty."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    mean_rank = last_rank - (counts - 1) / 2
    return float((mean_rank[inverse][positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def calibration_table(positive: NDArray[np.bool_], scores: Numbers, bins: int = BINS) -> tuple[CalibrationPoint, ...]:
    """Bins of about equal size by score, joined until the shares rise (Zadrozny and Elkan 2002, isotonic regression
    by pool-adjacent-violators)."""
    order = np.argsort(scores, kind="stable")
    pools: list[list[float]] = []
    for part in np.array_split(order, min(bins, len(order))) if len(order) else []:
        pools.append([float(scores[part].sum()), float(positive[part].sum()), float(len(part))])
        while len(pools) > 1 and pools[-2][1] * pools[-1][2] >= pools[-1][1] * pools[-2][2]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    return tuple(CalibrationPoint(probability=total / n, share=held / n, texts=int(n)) for total, held, n in pools)


def calibrated(table: Sequence[CalibrationPoint], probability: float) -> float:
    """What a probability of the model is worth by the table: straight between its points, flat beyond the first and
    the last."""
    return float(np.interp(probability, [point.probability for point in table], [point.share for point in table]))


def calibration_error(positive: NDArray[np.bool_], scores: Numbers, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015): mean distance of score and share over bins of equal size,
    weighted by their texts."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(bins, len(order))) if len(order) else []
    return float(
        sum(abs(scores[part].mean() - positive[part].mean()) * len(part) for part in parts) / max(1, len(order))
    )


def threshold_for_share(scores: Numbers, share: float) -> float:
    """The lowest score that at most `share` of the texts reach or exceed: `min` of a rule that keeps that share."""
    if not len(scores):
        return float("nan")
    descending = np.sort(scores)[::-1]
    allowed = int(np.floor(share * len(scores) + 1e-9))
    if allowed >= len(scores):
        return float(descending[-1])
    # All ties of the first one that is too many are left out with it.
    above = descending[descending > descending[allowed]]
    return float(above[-1]) if len(above) else float(np.nextafter(descending[0], np.inf))
