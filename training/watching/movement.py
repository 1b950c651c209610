"""Where the ranks of a run are, as their heartbeats say, and who of them keeps the others waiting. Imports no torch:
the launcher looks too."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

DONE_PHASE = "done"


@dataclass(frozen=True)
class Beat:
    """Where a rank is. `written` counts the lines of its thread, `moves` those of its loop."""

    rank: int
    step: int
    phase: str
    moves: int
    written: int


class Movement:
    """When each rank was last seen to move, and to write, by the clock of the one who looks (seconds)."""

    def __init__(self, ranks: int, hang_seconds: float, now: float) -> None:
        self._hang_seconds = hang_seconds
        self._looked = now
        self._beats = {rank: Beat(rank, 0, "start", 0, 0) for rank in range(ranks)}
        self._moved = dict.fromkeys(range(ranks), now)
        self._wrote = dict.fromkeys(range(ranks), now)

    def observe(self, beats: list[Beat], now: float) -> None:
        """Look at intervals that are short beside `hang_seconds`."""
        if now - self._looked > self._hang_seconds / 2:
            # Whoever was stopped himself, as when a job is suspended, cannot tell who moved meanwhile.
            self._moved = dict.fromkeys(self._moved, now)
            self._wrote = dict.fromkeys(self._wrote, now)
        self._looked = now
        for beat in beats:
            before = self._beats[beat.rank]
            if beat.moves != before.moves:
                self._moved[beat.rank] = now
            if beat.written != before.written:
                self._wrote[beat.rank] = now
            self._beats[beat.rank] = beat

    def hang(self) -> str | None:
        """Who keeps the others waiting, once a rank has not moved for `hang_seconds` at the last look."""
        now, hang_seconds = self._looked, self._hang_seconds
        at_work = [beat for beat in self._beats.values() if beat.phase != DONE_PHASE]
        waited = max((now - self._moved[beat.rank] for beat in at_work), default=0.0)
        if waited < hang_seconds:
            return None
        silent = [beat for beat in at_work if now - self._wrote[beat.rank] >= hang_seconds / 2]
        fewest = min(beat.moves for beat in at_work)
        behind = silent or [beat for beat in at_work if beat.moves == fewest]
        if len(behind) == len(at_work) > 1:
            return f"no rank has moved for {waited:.0f} s; all are in step {behind[0].step} ({behind[0].phase})"
        named = ", ".join(
            f"rank {beat.rank} is behind in step {beat.step} ({beat.phase}){' and does not answer' if silent else ''}"
            for beat in behind
        )
        return f"no step for {waited:.0f} s: {named}"


class FolderWatch:
    """Looks at a run from outside its ranks, for when none of them can: all are stopped, or there is one alone."""

    def __init__(self, out: Path, ranks: int, hang_seconds: float) -> None:
        self._out, self._ranks, self._hang_seconds = out, ranks, hang_seconds
        self._attempt: Path | None = None
        self._movement = Movement(ranks, hang_seconds, 0.0)

    def begin(self) -> None:
        """Forget all attempts so far; call it while no rank runs."""
        shutil.rmtree(attempts_of(self._out), ignore_errors=True)
        self._attempt = None

    def hang(self, now: float) -> str | None:
        """What `Movement.hang` says of the attempt that is under way; None before the ranks of one have met."""
        attempt = next(iter(attempts_of(self._out).glob("*")), None)
        if attempt != self._attempt:
            self._attempt, self._movement = attempt, Movement(self._ranks, self._hang_seconds, now)
        if attempt is None:
            return None
        self._movement.observe(read_beats(attempt, self._ranks), now)
        return self._movement.hang()


def attempts_of(out: Path) -> Path:
    """Holds a folder for the attempt of the run that is under way."""
    return out / "heartbeats"


def beat_path(attempt: Path, rank: int) -> Path:
    return attempt / f"rank-{rank:05d}.json"


def read_beats(attempt: Path, ranks: int) -> list[Beat]:
    """Of the ranks that have one that can be read now."""
    beats = []
    for rank in range(ranks):
        try:
            beats.append(Beat(**json.loads(beat_path(attempt, rank).read_text())))
        except (OSError, ValueError, TypeError):
            # Not there yet, or read while it was written.
            continue
    return beats
