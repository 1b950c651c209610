"""Which checkpoints stay, and how often one is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.checkpoints.retention import best_interval, outdated

steps_of_a_run = st.lists(st.integers(1, 500), unique=True, max_size=30)


def test_the_newest_and_the_permanent_ones_stay() -> None:
    assert outdated([100, 150, 200, 250, 300, 350], keep=2, permanent_every=200) == [100, 150, 250]


def test_without_permanent_ones_only_the_newest_stay() -> None:
    assert outdated([30, 10, 20], keep=1, permanent_every=0) == [10, 20]


@given(steps_of_a_run, st.integers(1, 5), st.integers(0, 7))
def test_nothing_that_must_stay_is_outdated(steps: list[int], keep: int, permanent_every: int) -> None:
    gone = outdated(steps, keep, permanent_every)
    stays = set(steps) - set(gone)
    assert set(sorted(steps)[-keep:]) <= stays
    assert not any(permanent_every and step % permanent_every == 0 for step in gone)
    assert len([step for step in stays if not (permanent_every and step % permanent_every == 0)]) <= keep
    assert outdated(sorted(stays), keep, permanent_every) == []


def test_llama_3_would_save_every_nineteen_minutes() -> None:
    # A failure every 3 hours (arXiv 2407.21783, section 3.3.4), and a save of a minute.
    assert best_interval(60, 60, 3 * 3600) == pytest.approx(1138.4, abs=0.1)


def test_a_save_is_never_due_before_the_former_one_is_written() -> None:
    assert best_interval(0.01, 900, 3600) == 900
