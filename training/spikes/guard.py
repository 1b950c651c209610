"""What is done about spikes: the state that decides, and the way back to a good checkpoint. Every rank makes the
same calls and decides alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
import torch.distributed as dist

from schemas.plumbing.errors import DecisionNeeded
from schemas.plumbing.whole_file import write_whole
from training.checkpoints import checkpoint
from training.checkpoints.commit import Commit, committed, read_commit, step_of, undo_after
from training.megatron.parallel import Mesh, own_stretches
from training.megatron.step import StepResult
from training.order.skips import FILE, Skips, add_range, batch_of_step, recorded_skips
from training.prepare import Job
from training.reading.batch import Batch
from training.spikes.incidents import Incident, IncidentRecorder, RowLosses
from training.spikes.spikes import SpikeState, Verdict, after_rollback, first_alike, judge, range_to_skip, rate_scale

log = structlog.get_logger()

SOURCE_MEMORY = 0.95
"""Weight of the past in the running mean of a source's loss: about the last 20 batches that have tokens of it."""


class SpikeGuard:
    """Judges every step; remembers the windows, the usual loss of each source, and the batches that are left out."""

    def __init__(self, job: Job, mesh: Mesh) -> None:
        self._job, self._mesh, self._config = job, mesh, job.config.spikes
        self._state, self.skips, self._usual = _remembered(job.resume[1] if job.resume else None, job.out)
        self._recorder = IncidentRecorder(job) if mesh.rank == 0 else None

    def rate_scale(self, step: int) -> float:
        """What the learning rate of `step`, from 0, is multiplied with."""
        return rate_scale(self._state, self._config, step)

    def judge(self, step: int, batch: Batch, result: StepResult) -> Verdict:
        """The verdict on `step`, from 0."""
        stage = first_alike(self._job.plan, batch.index)
        verdict, self._state = judge(
            self._state,
            self._config,
            step=step,
            batch=batch.index,
            stage=stage,
            loss=result.loss,
            norm=result.gradient_norm,
        )
        if not verdict.kind:
            self._learn(result)
        return verdict

    def handle(self, verdict: Verdict, step: int, batch: Batch, result: StepResult) -> Path | None:
        """Record an incident of `step`, from 0; returns the checkpoint to roll back to, if that is what it takes.

        `DecisionNeeded` on all ranks where the run may do no more by itself.
        """
        target = self._target() if verdict.action == "roll_back" else None
        # Without a checkpoint from before, leaving out updates is all that can be done.
        action = "skip" if verdict.action == "roll_back" and target is None else verdict.action
        skipped = self._range(target) if target is not None else None
        rows = _gather_rows(batch, result, self._mesh)
        if self._recorder is not None:
            incident = Incident(
                step + 1,
                batch.index,
                result.batch_hash,
                verdict,
                action,
                result.loss,
                result.gradient_norm,
                dict(self._usual),
                step_of(target) if target is not None else None,
                skipped,
            )
            self._recorder.record(incident, rows)
            log.warning(
                "spike",
                step=step + 1,
                batch=batch.index,
                kind=verdict.kind,
                action=action,
                loss=result.loss,
                gradient_norm=result.gradient_norm,
            )
        if action == "stop":
            self._stop(step)
        return target

    def roll_back(self, target: Path, state: checkpoint.TrainingState) -> int:
        """Bring the state of a checkpoint back, and leave out the batches of the spikes from now on; returns the
        step to go on from, from 0."""
        commit = read_commit(target)
        self.skips = add_range(self.skips, *self._range(target))
        restored, usual = _from_commit(commit)
        self._state, self._usual = after_rollback(self._state, restored, self._config, commit.step), usual
        if self._recorder is not None:
            self._recorder.flush()
            # The checkpoints first: one that has trained on a batch which is left out must not be gone on from.
            undo_after(self._job.out, commit.step)
            write_whole(self._job.out / FILE, json.dumps({**self.to_json(), "usual_losses": {}}))
            log.warning("rolled back", to_step=commit.step, rollbacks=self._state.rollbacks, skips=self.skips)
        dist.barrier()
        checkpoint.load(state, target, commit)
        return commit.step

    def follow(self, job: Job) -> None:
        """From now on batches are read as this job has it."""
        self._job = job
        if self._recorder is not None:
            self._recorder.follow(job)

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint keeps of it (`Commit.state`)."""
        return {
            "spikes": self._state.to_json(),
            "skips": [list(found) for found in self.skips],
            "usual_losses": self._usual,
        }

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()

    def _learn(self, result: StepResult) -> None:
        for name, source in zip(self._job.plan.sources, result.sources, strict=True):
            if source.tokens:
                mean = source.total / source.tokens
                self._usual[name] = mean + SOURCE_MEMORY * (self._usual.get(name, mean) - mean)

    def _target(self) -> Path | None:
        """The newest checkpoint that is old enough, or else the oldest one from before the first spike; None where
        there is none. One rank looks."""
        found: list[Path | None] = [None]
        if self._mesh.rank == 0:
            first_step = min(step for step, _ in self._state.spikes)
            before = [folder for folder in committed(self._job.out) if step_of(folder) <= first_step]
            old_enough = [folder for folder in before if step_of(folder) <= first_step - self._config.rewind_steps]
            found = [old_enough[-1] if old_enough else before[0] if before else None]
        dist.broadcast_object_list(found, src=0)
        return found[0]

    def _range(self, target: Path) -> tuple[int, int]:
        return range_to_skip(self._state, self._config, first_allowed=batch_of_step(step_of(target), self.skips))

    def _stop(self, step: int) -> None:
        if self._recorder is not None:
            self._recorder.flush()
        # No rank leaves before the first one has written everything down.
        dist.barrier()
        raise DecisionNeeded(
            f"step {step + 1}: the loss still spikes after {self._state.rollbacks} rollback(s), see "
            f"{self._job.out / 'incidents.jsonl'}; the last checkpoint "
            f"is from before. `pretrain replay` tells whether data or weights are at fault; --set "
            f"spikes.max_rollbacks={self._config.max_rollbacks + 3} goes on"
        )


def _remembered(commit: Commit | None, out: Path) -> tuple[SpikeState, Skips, dict[str, float]]:
    """What a checkpoint knows, and what a rollback after it was made has added."""
    state, usual = _from_commit(commit)
    path = out / FILE
    if path.is_file():
        later = SpikeState.from_json(json.loads(path.read_text(encoding="utf-8"))["spikes"])
        state = replace(
            state,
            rollbacks=max(state.rollbacks, later.rollbacks),
            lowered_until=max(state.lowered_until, later.lowered_until),
        )
    return state, recorded_skips(out, commit.state if commit else {}), usual


def _from_commit(commit: Commit | None) -> tuple[SpikeState, dict[str, float]]:
    values = commit.state if commit else {}
    state = SpikeState.from_json(values["spikes"]) if "spikes" in values else SpikeState()
    return state, dict(values.get("usual_losses", {}))


def _gather_rows(batch: Batch, result: StepResult, mesh: Mesh) -> list[RowLosses]:
    """The token losses of the whole batch, on the first rank; nothing on the others."""
    own = None
    if result.token_losses is not None and mesh.tensor_rank == 0:
        length = batch.tokens.shape[-1]
        positions = own_stretches(torch.arange(length)).numpy()
        tokens, counted = (array.reshape(-1, length)[:, positions] for array in (batch.tokens, batch.counted))
        losses = torch.cat(result.token_losses).float().cpu().numpy()
        own = RowLosses(batch.first_row, positions, tokens.astype(np.int32), losses, counted)
    found: list[Any] = [None] * mesh.world_size
    dist.gather_object(own, found if mesh.rank == 0 else None, dst=0)
    return [part for part in found if part is not None]
