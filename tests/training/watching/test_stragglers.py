"""Which rank is called slow."""

from __future__ import annotations

import pytest

from training.watching.stragglers import Slowest, slowest


def test_the_slowest_rank_is_named_beside_the_median() -> None:
    found = slowest(100, [0.10, 0.11, 0.24, 0.12])
    assert found == Slowest(step=100, rank=2, seconds=0.24, median_seconds=pytest.approx(0.115))
    assert round(found.ratio, 3) == 2.087


def test_ranks_that_are_equally_fast_have_a_ratio_of_one() -> None:
    assert slowest(1, [0.5, 0.5]).ratio == 1.0
