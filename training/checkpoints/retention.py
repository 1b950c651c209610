"""Which checkpoints stay, and how often to make one. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def outdated(steps: Sequence[int], keep: int, permanent_every: int) -> list[int]:
    """Of committed `steps`, those that may go: neither among the newest `keep` nor divided by `permanent_every` (0: none is)."""
    newest = set(sorted(steps)[-keep:])
    return sorted(step for step in steps if step not in newest and not (permanent_every and step % permanent_every == 0))


def best_interval(held_seconds: float, write_seconds: float, seconds_between_failures: float) -> float:
    """Seconds from one save to the next that lose least, to saving and to failures together.

    sqrt(2 C M) of Young (doi 10.1145/361147.361115), with C the seconds that a save holds the loop. Never less than it takes to write:
    a second save waits for the first.
    """
    return max(math.sqrt(2 * held_seconds * seconds_between_failures), write_seconds)
