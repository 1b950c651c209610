"""Whether every rank still moves: each writes where it is, two of them watch, and where one has not moved for too
long all end with its name.

A rank moves when its loop says so (`beat`). All ranks make the same calls, so the rank with the fewest moves is the
one that the others wait for; one whose thread does not write either is stopped altogether. Needs a folder that all
ranks see, and no clock that they share.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import shutil
import threading
import time
from dataclasses import asdict
from pathlib import Path

from schemas.plumbing.exit_codes import FAILED
from training.launch import Placement, fail
from training.watching.movement import DONE_PHASE, Beat, Movement, attempts_of, beat_path, read_beats

RECORD_BYTES = 256
VERDICT = "hang.json"


class Heartbeat:
    """This rank's sign of life. Every attempt has a folder of its own, so that what an earlier one left says
    nothing."""

    def __init__(self, out: Path, attempt: str, place: Placement, hang_seconds: float) -> None:
        self._place = place
        self._failures = out / "failures"
        self._folder = attempts_of(out) / attempt
        self._folder.mkdir(parents=True, exist_ok=True)
        if place.rank == 0:
            for other in self._folder.parent.iterdir():
                if other != self._folder:
                    shutil.rmtree(other, ignore_errors=True)
        self._interval = min(30.0, max(0.05, hang_seconds / 10))
        self._step, self._phase, self._moves, self._written = 0, "start", 0, 0
        self._movement = Movement(place.world_size, hang_seconds, time.monotonic())
        self._watches = place.rank in (0, place.world_size - 1)
        self._file = os.open(beat_path(self._folder, place.rank), os.O_CREAT | os.O_WRONLY)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._write()
        self._thread.start()

    def beat(self, step: int, phase: str) -> None:
        """This rank moves: it begins `phase` of `step`. Call it on every rank alike."""
        self._step, self._phase, self._moves = step, phase, self._moves + 1

    def moved(self) -> None:
        """This rank moves, in the phase that it is in."""
        self._moves += 1

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self.beat(self._step, DONE_PHASE)
        self._write()
        os.close(self._file)

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            self._write()
            verdict = self._verdict()
            if verdict is None and self._watches:
                self._movement.observe(read_beats(self._folder, self._place.world_size), time.monotonic())
                verdict = self._pass_verdict(found) if (found := self._movement.hang()) else None
            if verdict is not None:
                self._end(verdict)

    def _end(self, verdict: str) -> None:
        # A full disk hides the stacks, not the message.
        with contextlib.suppress(OSError):
            self._failures.mkdir(parents=True, exist_ok=True)
            with (self._failures / f"rank-{self._place.rank}-stack.txt").open("w") as file:
                faulthandler.dump_traceback(file, all_threads=True)
        # Time for the others to see the verdict: the first rank that ends takes them with it.
        time.sleep(3 * self._interval)
        fail(self._place, f"{verdict}; stacks in {self._failures}", FAILED)

    def _write(self) -> None:
        """In place, which a full disk allows too."""
        self._written += 1
        text = json.dumps(asdict(Beat(self._place.rank, self._step, self._phase, self._moves, self._written)))
        with contextlib.suppress(OSError):
            os.pwrite(self._file, text.ljust(RECORD_BYTES).encode()[:RECORD_BYTES], 0)

    def _verdict(self) -> str | None:
        try:
            return str(json.loads((self._folder / VERDICT).read_text())["hang"])
        except (OSError, ValueError):
            return None

    def _pass_verdict(self, found: str) -> str:
        """The first to find something is who all the ranks quote."""
        part = self._folder / f"{VERDICT}.{self._place.rank}"
        with contextlib.suppress(OSError):
            part.write_text(json.dumps({"hang": found}))
            os.link(part, self._folder / VERDICT)
        return self._verdict() or found
