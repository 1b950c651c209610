"""Who is named when no rank moves any more, by the clock of the one who looks."""

from __future__ import annotations

from training.heartbeat import Beat, Movement

HANG = 30.0


def seen(*looks: tuple[float, list[Beat]], ranks: int = 3) -> Movement:
    movement = Movement(ranks, 0.0)
    for now, beats in looks:
        movement.observe(beats, now)
    return movement


def test_ranks_that_move_are_no_hang() -> None:
    movement = seen(*((float(now), [Beat(rank, now, "compute", now, now) for rank in range(3)]) for now in range(1, 100)))
    assert movement.hang(99.0 + HANG - 1, HANG) is None


def test_a_stopped_rank_is_named_though_it_is_in_the_same_step() -> None:
    last = [Beat(0, 14, "compute", 40, 15), Beat(1, 14, "compute", 40, 10), Beat(2, 14, "compute", 40, 15)]
    movement = seen((10.0, [Beat(rank, 14, "compute", 40, 10) for rank in range(3)]), (39.0, last))
    assert movement.hang(39.0, HANG) is None
    assert movement.hang(40.0, HANG) == "no step for 30 s: rank 1 is behind in step 14 (compute) and does not answer"


def test_a_rank_that_is_stuck_but_writes_is_named_by_its_moves() -> None:
    beats = [[Beat(0, 14, "compute", 40, n), Beat(1, 14, "data", 39, n), Beat(2, 14, "compute", 40, n)] for n in (1, 2)]
    movement = seen((10.0, beats[0]), (40.0, beats[1]))
    assert movement.hang(40.0, HANG) == "no step for 30 s: rank 1 is behind in step 14 (data)"


def test_where_no_rank_is_behind_the_message_says_so() -> None:
    movement = seen(*((now, [Beat(rank, 14, "compute", 40, int(now)) for rank in range(3)]) for now in (10.0, 40.0)))
    assert movement.hang(40.0, HANG) == "no rank has moved for 30 s; all are in step 14 (compute)"


def test_a_rank_that_never_came_is_named() -> None:
    movement = seen(*((now, [Beat(rank, 1, "load", int(now), int(now)) for rank in (0, 2)]) for now in (10.0, 20.0, 29.0)))
    assert movement.hang(30.0, HANG) == "no step for 30 s: rank 1 is behind in step 0 (start) and does not answer"


def test_a_rank_that_is_done_is_not_waited_for() -> None:
    movement = seen((10.0, [Beat(rank, 20, "done", 60, 10) for rank in range(3)]))
    assert movement.hang(1000.0, HANG) is None
