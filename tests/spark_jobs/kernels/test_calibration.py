"""Figures over a hold-out."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from spark_jobs.kernels.models.calibration import (
    area_under_curve,
    calibrated,
    calibration_error,
    calibration_table,
    confusions,
    label_figures,
    macro_recall,
    threshold_for_share,
)

scored = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=80)


def arrays(pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([positive for positive, _ in pairs], bool), np.array([score for _, score in pairs], float)


def test_figures_of_labels_count_what_is_found_and_what_is_right():
    gold, found = ["a", "a", "a", "b", "c"], ["a", "a", "b", "b", "d"]
    a, b, c, d = label_figures(gold, found)
    assert (a.texts, a.found, a.right, a.recall, a.precision) == (3, 2, 2, pytest.approx(2 / 3), 1.0)
    assert (b.recall, b.precision) == (1.0, 0.5)
    assert (c.recall, c.precision, d.recall, d.precision) == (0.0, 0.0, 0.0, 0.0)
    assert macro_recall((a, b, c, d)) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert [(pair.label, pair.taken_for, pair.texts) for pair in confusions(gold, found, 1)] == [("a", "b", 1)]


@given(scored)
def test_the_area_under_the_curve_is_that_of_scikit_learn(pairs):
    positive, scores = arrays(pairs)
    if positive.all() or not positive.any():
        assert math.isnan(area_under_curve(positive, scores))
    else:
        assert area_under_curve(positive, scores) == pytest.approx(roc_auc_score(positive, scores))


@given(scored)
def test_a_calibration_table_rises_and_counts_every_text(pairs):
    positive, scores = arrays(pairs)
    table = calibration_table(positive, scores)
    assert sum(point.texts for point in table) == len(pairs)
    assert all(a.share < b.share and a.probability <= b.probability for a, b in pairwise(table))
    assert sum(point.share * point.texts for point in table) == pytest.approx(positive.sum())
    assert 0 <= calibrated(table, 0.5) <= 1


def test_calibration_undoes_a_probability_that_is_too_sure_of_itself():
    chooser = np.random.default_rng(0)
    truth = chooser.random(20_000)
    positive = chooser.random(20_000) < truth
    # Odds cubed: the order is right, the probabilities are not.
    claimed = truth**3 / (truth**3 + (1 - truth) ** 3)
    table = calibration_table(positive, claimed)
    assert calibration_error(positive, claimed) > 0.1
    assert calibration_error(positive, np.array([calibrated(table, score) for score in claimed])) < 0.02


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60), st.floats(0, 1))
def test_no_more_than_the_share_reaches_its_threshold(scores, share):
    values = np.array(scores)
    threshold = threshold_for_share(values, share)
    reached = (values >= threshold).sum()
    assert reached <= math.floor(share * len(values) + 1e-9)
    lower = values[values < threshold]
    if len(lower):
        assert (values >= lower.max()).sum() > math.floor(share * len(values) + 1e-9), "a lower threshold would do"
