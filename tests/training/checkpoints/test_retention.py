"""Which checkpoints stay, and how often one is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.checkpoints.commit import COMMITTED, folder_of, rename_damaged, undo_after
from training.checkpoints.retention import best_interval, outdated, remove_outdated

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


def save(out: Path, step: int, *, keep: int = 2) -> list[str]:
    """Commit a checkpoint of the step; which folders are there afterwards, by the end of their names."""
    folder = folder_of(out, step)
    folder.mkdir(parents=True)
    (folder / COMMITTED).write_text("{}")
    remove_outdated(out, step, keep, permanent_every=30)
    return sorted(path.name.removeprefix("step-000000") for path in folder.parent.iterdir())


def test_undone_checkpoints_stay_until_the_run_has_as_many_later_ones_as_it_keeps(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        save(tmp_path, step, keep=3)
    undo_after(tmp_path, 20)
    assert save(tmp_path, 30) == ["20", "30", "30.undone", "40.undone"]
    undo_after(tmp_path, 20)
    rename_damaged(folder_of(tmp_path, 20))
    assert save(tmp_path, 30) == ["20.damaged", "30", "30.undone", "30.undone2", "40.undone"]
    assert save(tmp_path, 40) == ["20.damaged", "30", "30.undone", "30.undone2", "40", "40.undone"]
    assert save(tmp_path, 50) == ["20.damaged", "30", "40", "40.undone", "50"]
    assert save(tmp_path, 60) == ["20.damaged", "30", "50", "60"]


def test_an_undone_save_without_its_marker_goes_with_the_others(tmp_path: Path) -> None:
    folder_of(tmp_path, 15).mkdir(parents=True)
    undo_after(tmp_path, 10)
    assert save(tmp_path, 20, keep=1) == ["20"]


def test_llama_3_would_save_every_nineteen_minutes() -> None:
    # A failure every 3 hours (arXiv 2407.21783, section 3.3.4), and a save of a minute.
    assert best_interval(60, 60, 3 * 3600) == pytest.approx(1138.4, abs=0.1)


def test_a_save_is_never_due_before_the_former_one_is_written() -> None:
    assert best_interval(0.01, 900, 3600) == 900
