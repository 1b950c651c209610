from __future__ import annotations

import random

import numpy as np
import pytest

from spark_jobs.ask.recall import SIMILARITIES, expected_recall, recall_table, steepest_similarity
from spark_jobs.kernels.duplicates.minhash import signature
from spark_jobs.kernels.duplicates.shingles import shingle_hashes


@pytest.mark.parametrize(
    ("bands", "rows", "steepest", "curve"),
    [
        (14, 8, 0.719, (0.053, 0.211, 0.565, 0.772, 0.924, 0.988, 1.000, 1.000)),  # FineWeb
        (9, 13, 0.844, (0.001, 0.012, 0.084, 0.195, 0.399, 0.686, 0.929, 0.998)),  # RedPajama-V2
        (20, 5, 0.549, (0.470, 0.802, 0.975, 0.996, 1.000, 1.000, 1.000, 1.000)),
        (5, 25, 0.938, (0.000, 0.000, 0.001, 0.004, 0.019, 0.083, 0.311, 0.803)),
    ],
)
def test_the_curve_has_the_published_values(bands, rows, steepest, curve):
    assert [round(expected_recall(similarity, bands, rows), 3) for similarity in SIMILARITIES] == list(curve)
    assert round(steepest_similarity(bands, rows), 3) == steepest


def test_the_table_shows_hashes_and_one_line_a_similarity():
    lines = recall_table(14, 8).splitlines()
    assert lines[0] == "14 bands x 8 rows = 112 hashes; the curve is steepest near similarity 0.719"
    assert lines[4] == "      0.70  0.565"
    assert len(lines) == 2 + len(SIMILARITIES)


def test_planted_edits_meet_in_a_band_as_often_as_the_curve_says():
    draw = random.Random(3)
    vocabulary = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(3000)]
    met, expected = [], []
    for _ in range(800):
        words = draw.choices(vocabulary, k=150)
        replaced = draw.uniform(0.01, 0.08)
        edited = [draw.choice(vocabulary) if draw.random() < replaced else word for word in words]
        one, other = (shingle_hashes(" ".join(text), 5) for text in (words, edited))
        common = len(np.intersect1d(one, other))
        expected.append(expected_recall(common / (len(one) + len(other) - common), 14, 8))
        agree = (signature(one, 112, 1) == signature(other, 112, 1)).reshape(14, 8)
        met.append(agree.all(axis=1).any())
    found, curve = np.array(met), np.array(expected)
    for low, high in ((0.0, 0.3), (0.3, 0.8), (0.8, 1.01)):
        inside = (curve >= low) & (curve < high)
        error = np.sqrt((curve[inside] * (1 - curve[inside])).sum()) / inside.sum()
        assert found[inside].mean() == pytest.approx(curve[inside].mean(), abs=4 * error)
