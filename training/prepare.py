"""All that can be known, and refused, before anything heavy starts: the tokens, the plan, the layout and the
checkpoint to go on from. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.plumbing.errors import NothingToDo, UsageError
from training.checkpoints.commit import Commit, newest_commit, require_same_run
from training.config import ParallelConfig, TrainingConfig, require_fit
from training.objectives.special_tokens import special_ids
from training.order.plan import Plan
from training.order.plan_stages import later_versions, make_plan
from training.reading.delta_tokens import TokenTable, open_tokens
from training.watching.trackers import require_trackers


@dataclass(frozen=True)
class Job:
    """A training run that can start. `config` has the tokens version pinned; `resume` is the checkpoint to go on
    from, if any."""

    config: TrainingConfig
    lake: str
    out: Path
    table: TokenTable
    plan: Plan
    world_size: int
    data_parallel: int
    resume: tuple[Path, Commit] | None

    @property
    def first_step(self) -> int:
        return self.resume[1].step if self.resume else 0

    @property
    def layout(self) -> str:
        return self.config.parallel.layout(self.data_parallel)

    def commit(self, step: int) -> Commit:
        """The commit of a checkpoint after `step` steps."""
        return Commit(
            step=step,
            layout=self.layout,
            tokenizer=self.table.tokenizer.fingerprint,
            vocabulary_size=self.table.tokenizer.vocabulary_size,
            end_of_document_id=self.table.tokenizer.end_of_document_id,
            plan=self.plan.to_dict(),
            plan_hash=self.plan.hash(),
            config=self.config.model_dump(mode="json"),
        )


def prepare(config: TrainingConfig, lake: str, out: Path, world_size: int, *, resumes: bool = True) -> Job:
    """Check a run against its lake, its ranks and its folder; `UsageError` says in one line what does not fit.

    It goes on from the newest checkpoint in `out` where it `resumes`.
    """
    require_fit(config)
    require_trackers(config.watch)
    data_parallel = config.data_parallel(world_size)
    resume = newest_commit(out) if resumes else None
    version = config.data.tokens_version
    if version is None and resume is not None:
        version = int(resume[1].config["data"]["tokens_version"])
    table = open_tokens(lake, version, later_versions(config))
    pinned = config.model_copy(update={"data": config.data.model_copy(update={"tokens_version": table.version})})
    plan = make_plan(pinned, table)
    _require_batches(plan, data_parallel, config.parallel, table)
    _require_special_tokens(pinned, table)
    job = Job(pinned, lake, out, table, plan, world_size, data_parallel, resume)
    if resume is not None:
        folder, found = resume
        require_same_run(found, job.commit(found.step), folder)
        if found.step > config.steps:
            raise UsageError(f"steps: {config.steps} is behind the checkpoint {folder}, which has {found.step}")
    return job


def _require_special_tokens(config: TrainingConfig, table: TokenTable) -> None:
    tokenizer = table.tokenizer
    padded = config.model.padded_vocabulary(tokenizer.vocabulary_size)
    special_ids(
        config.objective, tokenizer.definition, vocabulary_size=tokenizer.vocabulary_size, padded_vocabulary=padded
    )


def _require_batches(plan: Plan, data_parallel: int, parallel: ParallelConfig, table: TokenTable) -> None:
    """Every stage's batch is shared out evenly, and an epoch has at least one."""
    first = plan.stages[0]
    if (
        sum(part.epoch_tokens for part in plan.parts if part.tokens_version == first.tokens_version)
        < first.batch_tokens
    ):
        raise NothingToDo(
            f"{table.uri}: {table.tokens} tokens are too few for one batch of {first.batch_sequences} sequences of "
            f"{first.sequence_length}"
        )
    for stage in plan.stages:
        if stage.batch_sequences % (data_parallel * stage.micro_sequences):
            raise UsageError(
                f"batch.tokens: {stage.batch_sequences} sequences a batch from step {stage.first_batch} are no "
                f"multiple of "
                f"{data_parallel} data-parallel ranks x batch.micro_sequences {stage.micro_sequences}"
            )
        micro_batches = stage.batch_sequences // (data_parallel * stage.micro_sequences)
        if parallel.virtual_stages > 1 and micro_batches % parallel.pipeline:
            raise UsageError(
                f"batch.tokens: {micro_batches} micro-batches a replica from step {stage.first_batch} are no multiple "
                f"of "
                f"parallel.pipeline {parallel.pipeline}, as parallel.virtual_stages needs them"
            )
