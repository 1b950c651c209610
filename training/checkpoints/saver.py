"""Checkpoints in the background: staged while the loop waits, written and read back while it goes on, committed once
every rank's shards are durable.

All ranks make the same calls in the same order. What a rank's thread has come to is told in the votes of the step's
exchange, so that all ranks know at the same step that a save is done, or that it failed. A save that fails leaves
the former checkpoint, and is tried again at the next interval.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import Enum
from errno import ENOSPC
from pathlib import Path
from typing import Any

import structlog
import torch
import torch.distributed as dist

from training.checkpoints.checkpoint import TrainingState, sharded
from training.checkpoints.commit import COMMITTED, TOKENIZER, Commit, file_facts, folder_of, write_commit
from training.checkpoints.retention import best_interval, remove_outdated
from training.checkpoints.shards import HostMemory, StagedShards, WrittenShards, finish, own_bytes, stage, write
from training.settings.checkpoints import CheckpointConfig

log = structlog.get_logger()

SAVES = "saves.jsonl"
"""Of each committed save: step, bytes, seconds that the loop was held, seconds until it was committed, and the
interval that would be best."""

BUSY, FAILED, PROGRESS, DUE = "save_busy", "save_failed", "save_bytes", "save_due"
POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
ASSUMED_HELD_SECONDS = 1.0
"""What a save is taken to cost before the first one is measured."""


class _Phase(Enum):
    """What the thread of a save is at. Every rank has one that writes; what follows is the first rank's."""

    WRITE = "write"
    COMMIT = "commit"
    REMOVE = "remove"
    """What a failed save left behind. A save is in flight until then: the next one is not to find the disk full of
    its remains."""


@dataclass
class _Save:
    """The save in flight."""

    commit: Commit
    folder: Path
    began: float
    staged: StagedShards
    thread: Future[Any] | None
    held: float
    phase: _Phase = _Phase.WRITE


class Saver:
    """Makes the checkpoints of a run. `moved` is called whenever a save was seen to get on: what waits for one is no
    hang."""

    def __init__(
        self,
        state: TrainingState,
        out: Path,
        config: CheckpointConfig,
        *,
        tokenizer: str,
        device: torch.device,
        resumed_step: int | None,
        moved: Callable[[], None],
    ) -> None:
        self._state, self._out, self._config, self._tokenizer, self._device, self._moved = (
            state,
            out,
            config,
            tokenizer,
            device,
            moved,
        )
        self._first = state.mesh.rank == 0
        self._memory = HostMemory(pinned=device.type == "cuda")
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._save: _Save | None = None
        self._bytes = 0
        self._failures = 0
        self._committed_step = resumed_step
        self._seen_bytes = 0.0
        self._last_began = time.monotonic()
        self._interval = best_interval(ASSUMED_HELD_SECONDS, 0.0, config.mean_hours_between_failures * 3600)

    def votes(self, step: int) -> dict[str, float]:
        """What this rank tells the others in the exchange of `step`; sums of these go to `advance` and `is_due`."""
        save, due = self._save, self._wants_save(step)
        if save is None:
            return {BUSY: 0.0, FAILED: 0.0, PROGRESS: 0.0, DUE: float(due)}
        done = save.thread is None or save.thread.done()
        failed = done and save.thread is not None and save.thread.exception() is not None
        return {BUSY: float(not done), FAILED: float(failed), PROGRESS: float(save.staged.progress()), DUE: float(due)}

    def is_due(self, sums: Mapping[str, float]) -> bool:
        return sums[DUE] > 0

    def advance(self, sums: Mapping[str, float]) -> None:
        """Take the save in flight on to where all ranks have come; `OSError` on all of them where too many have
        failed in a row."""
        save = self._save
        if save is None:
            return
        if sums[PROGRESS] != self._seen_bytes:
            self._seen_bytes = sums[PROGRESS]
            self._moved()
        if sums[BUSY] > 0:
            return
        if save.phase is _Phase.REMOVE:
            self._save = None
        elif sums[FAILED] > 0:
            error = save.thread.exception() if save.thread else None
            save.phase = _Phase.REMOVE
            save.thread = self._pool.submit(_remove, save.folder) if self._first else None
            self._give_up(save.commit, str(error) if error else None)
        elif save.phase is _Phase.COMMIT:
            self._save = None
            # With all that is not a tensor.
            self._bytes = save.thread.result() if save.thread else self._bytes
            self._failures = 0
            self._committed_step = save.commit.step
            if self._first:
                self._record(save)
        else:
            self._begin_commit(save)

    def save(self, commit: Commit, *, durable: bool = False) -> None:
        """Begin a save, after the one in flight; with `durable` return only when it is committed, and try again at
        once where it fails."""
        self.settle()
        while True:
            self._begin(commit)
            if durable or not self._config.asynchronous:
                self.settle()
            if not durable or self._committed_step == commit.step:
                return
            time.sleep(RETRY_SECONDS)

    def settle(self) -> None:
        """Wait until no save is in flight. The ranks exchange at short intervals meanwhile, so no exchange waits for
        long."""
        while self._save is not None:
            if self._save.thread is not None:
                wait([self._save.thread], timeout=POLL_SECONDS)
            self.advance(self._sum(self.votes(self._save.commit.step)))

    def close(self) -> None:
        """Does not wait: what is still in flight then has no more use."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _wants_save(self, step: int) -> bool:
        every = self._config.every
        if isinstance(every, int) and step % every == 0:
            return True
        # One clock decides.
        since = time.monotonic() - self._last_began
        limits = [self._interval] if every == "auto" else []
        limits += [self._config.every_minutes * 60] if self._config.every_minutes else []
        return self._first and any(since >= limit for limit in limits)

    def _begin(self, commit: Commit) -> None:
        self._last_began = began = time.monotonic()
        parts = sharded(self._state)
        is_first_save = not self._bytes
        if is_first_save:
            self._bytes = int(self._sum({PROGRESS: float(own_bytes(parts))})[PROGRESS])
        folder = folder_of(self._out, commit.step)
        refusal: list[str | None] = [self._make_room(folder) if self._first else None]
        dist.broadcast_object_list(refusal, src=0)
        if refusal[0] is not None:
            self._give_up(commit, refusal[0])
            return
        staged = stage(parts, folder, self._memory, check_access=is_first_save)
        self._seen_bytes = 0.0
        self._save = _Save(
            commit, folder, began, staged, self._pool.submit(write, staged), held=time.monotonic() - began
        )

    def _make_room(self, folder: Path) -> str | None:
        """A folder with the tokenizer's definition in it; why there is none, where that is so."""
        try:
            # What a killed save of the same step left behind, or one before the run went back.
            _remove(folder)
            folder.mkdir(parents=True)
            free = shutil.disk_usage(folder).free
            if free < self._bytes:
                raise OSError(ENOSPC, f"a checkpoint takes {self._bytes:,} bytes and {free:,} are free", str(folder))
            (folder / TOKENIZER).write_text(self._tokenizer, encoding="utf-8")
        except OSError as error:
            with contextlib.suppress(OSError):
                _remove(folder)
            return str(error)
        return None

    def _begin_commit(self, save: _Save) -> None:
        assert save.thread is not None
        written: list[Any] = [None] * self._state.mesh.world_size
        dist.gather_object(save.thread.result(), written if self._first else None, dst=0)
        save.phase = _Phase.COMMIT
        save.thread = self._pool.submit(self._commit, save, written) if self._first else None

    def _commit(self, save: _Save, written: list[WrittenShards]) -> int:
        """In the first rank's thread: what makes the shards loadable, the marker, and only then the end of older
        checkpoints. Returns the bytes."""
        finish(save.staged, save.folder, [each.results for each in written])
        files = {name: facts for each in written for name, facts in each.files.items()}
        files |= {path.name: file_facts(path) for path in save.folder.iterdir() if path.name not in files}
        write_commit(save.folder, save.commit, files)
        try:
            remove_outdated(self._out, save.commit.step, self._config.keep, self._config.permanent_every)
        except OSError as error:
            # The new checkpoint is none the worse for it.
            log.warning("an older checkpoint could not be removed", reason=str(error))
        return sum(each.size for each in files.values())

    def _record(self, save: _Save) -> None:
        seconds = time.monotonic() - save.began
        self._interval = best_interval(save.held, seconds, self._config.mean_hours_between_failures * 3600)
        line = {
            "step": save.commit.step,
            "bytes": self._bytes,
            "held_seconds": round(save.held, 4),
            "seconds": round(seconds, 4),
            "best_interval_seconds": round(self._interval, 1),
        }
        log.info("checkpoint committed", **line)
        # The disk may be full now; the log has the line.
        with contextlib.suppress(OSError), (self._out / SAVES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _give_up(self, commit: Commit, reason: str | None) -> None:
        """Of one save: the former checkpoint stays. All ranks call it, each with what went wrong on it."""
        reasons: list[str | None] = [None] * self._state.mesh.world_size
        dist.all_gather_object(reasons, reason)
        rank, why = next((rank, why) for rank, why in enumerate(reasons) if why)
        self._failures += 1
        if self._failures >= self._config.attempts:
            kept = (
                f"; step {self._committed_step} is the last one that is saved"
                if self._committed_step is not None
                else ""
            )
            raise OSError(
                f"rank {rank} could not save step {commit.step}, as {self._failures} times in a row: {why}{kept}"
            )
        if self._first:
            log.warning(
                "checkpoint failed; the former one stays",
                step=commit.step,
                rank=rank,
                failures=self._failures,
                reason=why,
            )

    def _sum(self, numbers: Mapping[str, float]) -> dict[str, float]:
        shared = torch.tensor(list(numbers.values()), dtype=torch.float64, device=self._device)
        dist.all_reduce(shared)
        return dict(zip(numbers, shared.tolist(), strict=True))


def _remove(folder: Path) -> None:
    # The marker first: what is half removed must not look whole.
    (folder / COMMITTED).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
