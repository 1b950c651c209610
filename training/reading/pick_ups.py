"""From which batch on a run has known how many withdrawals: pure functions of pairs (first batch, withdrawals), in
ascending order, and the file of the run that holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.plumbing.whole_file import write_whole

FILE = "withdrawals.json"
"""In the run's folder: the newest checkpoint does not know what was picked up after it."""

type PickUps = tuple[tuple[int, int], ...]


def known_at(pick_ups: PickUps, batch: int) -> int:
    """How many withdrawals were known when a batch was read; for one that is still to come, how many are known now."""
    return next((count for first, count in reversed(pick_ups) if first <= batch), 0)


def picked_up(pick_ups: PickUps, batch: int, count: int) -> PickUps:
    """`count` withdrawals are known from a batch on, whatever was recorded of it and later ones."""
    before = tuple(one for one in pick_ups if one[0] < batch)
    return before if known_at(before, batch) == count else (*before, (batch, count))


def recorded_pick_ups(out: Path, state: dict[str, Any]) -> PickUps:
    """Those of a run: of its folder, or else of a checkpoint (`Commit.state`) that has come without it."""
    path = out / FILE
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else state.get("withdrawals", [])
    return tuple((batch, count) for batch, count in found)


def record_pick_ups(out: Path, pick_ups: PickUps) -> None:
    """Before the first batch that they concern is trained on."""
    if pick_ups or (out / FILE).is_file():
        write_whole(out / FILE, json.dumps(pick_ups))
