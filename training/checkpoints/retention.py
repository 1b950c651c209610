"""Which checkpoints stay, and how often to make one. Imports no torch."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from training.checkpoints.commit import COMMITTED, committed, step_of, uncommitted, undone


def outdated(steps: Sequence[int], keep: int, permanent_every: int) -> list[int]:
    """Of committed `steps`, those that may go: neither among the newest `keep` nor divided by `permanent_every` (0:
    none is)."""
    newest = set(sorted(steps)[-keep:])
    return sorted(
        step for step in steps if step not in newest and not (permanent_every and step % permanent_every == 0)
    )


def remove_outdated(out: Path, newest: int, keep: int, permanent_every: int) -> None:
    """Remove what need not stay once step `newest` is committed: older checkpoints, undone ones, and remains of
    saves that failed. Damaged ones stay."""
    folders = {step_of(folder): folder for folder in committed(out) if step_of(folder) <= newest}
    left_behind = [folder for folder in undone(out) if sum(step > step_of(folder) for step in folders) >= keep]
    for folder in [*left_behind, *(folders[step] for step in outdated(list(folders), keep, permanent_every))]:
        # The marker first: what is half removed must not look whole.
        (folder / COMMITTED).unlink(missing_ok=True)
        shutil.rmtree(folder)
    for folder in uncommitted(out):
        if step_of(folder) < newest:
            shutil.rmtree(folder)


def best_interval(held_seconds: float, write_seconds: float, seconds_between_failures: float) -> float:
    """Seconds from one save to the next that lose least, to saving and to failures together.

    sqrt(2 C M) of Young (doi 10.1145/361147.361115), with C the seconds that a save holds the loop. Never less than
    it takes to write: a second save waits for the first.
    """
    return max(math.sqrt(2 * held_seconds * seconds_between_failures), write_seconds)
