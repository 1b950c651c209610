from __future__ import annotations

import pytest

from spark_jobs.recall import SIMILARITIES, expected_recall, recall_table, steepest_similarity


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
