"""Who is named when no rank moves any more, by the clock of the one who looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from training.watching.movement import Beat, FolderWatch, Movement, attempts_of, beat_path

HANG = 30


def seen(beat: Callable[[int, int], Beat | None], until: int, ranks: int = 3, since: int = 0) -> Movement:
    """What was seen of `beat(rank, second)`, a look a second."""
    movement = Movement(ranks, HANG, float(since))
    for now in range(since + 1, until + 1):
        movement.observe([found for rank in range(ranks) if (found := beat(rank, now))], float(now))
    return movement


def test_ranks_that_move_are_no_hang() -> None:
    assert seen(lambda rank, now: Beat(rank, now, "compute", now, now), until=200).hang() is None


def test_a_stopped_rank_is_named_though_it_is_in_the_same_step() -> None:
    def stopped_at_10(rank: int, now: int) -> Beat:
        return Beat(rank, 14, "compute", 40 if now >= 10 else 39, min(now, 10) if rank == 1 else now)

    assert seen(stopped_at_10, until=39).hang() is None
    assert (
        seen(stopped_at_10, until=40).hang()
        == "no step for 30 s: rank 1 is behind in step 14 (compute) and does not answer"
    )


def test_a_rank_that_is_stuck_but_writes_is_named_by_its_moves() -> None:
    found = seen(
        lambda rank, now: Beat(rank, 14, "data", 39, now) if rank == 1 else Beat(rank, 14, "compute", 40, now), until=31
    )
    assert found.hang() == "no step for 30 s: rank 1 is behind in step 14 (data)"


def test_where_no_rank_is_behind_the_message_says_so() -> None:
    assert (
        seen(lambda rank, now: Beat(rank, 14, "compute", 40, now), until=31).hang()
        == "no rank has moved for 30 s; all are in step 14 (compute)"
    )


def test_a_rank_that_never_came_is_named() -> None:
    found = seen(lambda rank, now: Beat(rank, 1, "load", now, now) if rank != 1 else None, until=30)
    assert found.hang() == "no step for 30 s: rank 1 is behind in step 0 (start) and does not answer"


def test_a_rank_that_is_done_is_not_waited_for() -> None:
    assert seen(lambda rank, now: Beat(rank, 20, "done", 60, 10), until=1000).hang() is None


def test_who_was_stopped_himself_accuses_nobody() -> None:
    movement = seen(lambda rank, now: Beat(rank, 14, "compute", 40, now), until=10)
    same = [Beat(rank, 14, "compute", 40, 10) for rank in range(3)]
    movement.observe(same, 500.0)
    assert movement.hang() is None
    for now in range(501, 531):
        movement.observe(same, float(now))
    assert movement.hang() is not None


def test_the_launcher_looks_at_the_attempt_that_is_under_way(tmp_path: Path) -> None:
    def write_beat(attempt: str) -> None:
        folder = attempts_of(tmp_path) / attempt
        folder.mkdir(parents=True, exist_ok=True)
        beat_path(folder, 0).write_text(json.dumps(asdict(Beat(0, 7, "data", 12, 3))).ljust(256))

    watch = FolderWatch(tmp_path, 1, HANG)
    write_beat("the first")
    assert [watch.hang(float(now)) for now in (0, 10, 20)] == [None] * 3
    assert watch.hang(30.0) == "no step for 30 s: rank 0 is behind in step 7 (data) and does not answer"
    watch.begin()
    assert [watch.hang(float(now)) for now in (50, 60, 70, 80, 90)] == [None] * 5
    write_beat("the second")
    assert [watch.hang(float(now)) for now in (100, 110, 120)] == [None] * 3
    assert watch.hang(130.0) is not None
