"""Going on from the last checkpoint that is whole, with a line about each one that is not. Import it only after
`prepare_device`."""

from __future__ import annotations

import structlog
import torch.distributed as dist

from training.checkpoints import checkpoint
from training.checkpoints.commit import committed, rename_damaged, set_aside, step_of, uncommitted
from training.prepare import Job, prepare

log = structlog.get_logger()


def resume(job: Job, state: checkpoint.TrainingState) -> Job:
    """Load the checkpoint of `job`, or an earlier one where its content is not what its commit says; returns the job
    that starts there.

    All ranks call it. Damaged checkpoints are renamed, and left for whoever wants to look at them.
    """
    first = state.mesh.rank == 0
    if first:
        _tell_of_the_rest(job)
    while job.resume is not None and job.config.checkpoint.verify:
        folder, _ = job.resume
        wrong = checkpoint.wrong_content(folder, state.mesh)
        if not wrong:
            break
        if first:
            kept = rename_damaged(folder)
            log.warning("checkpoint is damaged; going on from the one before", files=wrong, kept=str(kept))
        dist.barrier()
        job = prepare(job.config, job.lake, job.out, job.world_size)
    if job.resume is not None:
        checkpoint.load(state, *job.resume)
    return job


def _tell_of_the_rest(job: Job) -> None:
    """What lies beyond the checkpoint that was found: damaged, or never finished."""
    for folder in committed(job.out):
        if step_of(folder) > job.first_step and (reason := set_aside(folder)):
            log.warning("checkpoint is damaged; going on from the one before", reason=reason)
    for folder in uncommitted(job.out):
        log.warning("a save that did not come to its end is ignored", folder=str(folder))
