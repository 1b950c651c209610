"""All that can be known, and refused, before anything heavy starts: the tokens, the plan, the layout and the checkpoint to go on from. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.errors import NothingToDo, UsageError
from training.commit import Commit, newest_commit, require_same_run
from training.config import DataConfig, TrainingConfig, require_fit
from training.delta_tokens import TokenTable, open_tokens
from training.plan import Plan, Source


@dataclass(frozen=True)
class Job:
    """A training run that can start. `config` has the tokens version pinned; `resume` is the checkpoint to go on from, if any."""

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
        return f"tensor {self.config.parallel.tensor} x pipeline {self.config.parallel.pipeline} x data {self.data_parallel}"

    def commit(self, step: int) -> Commit:
        """The commit of a checkpoint after `step` steps."""
        return Commit(
            step=step,
            layout=self.layout,
            tokenizer=self.table.tokenizer.fingerprint,
            vocabulary_size=self.table.tokenizer.vocabulary_size,
            end_of_document_id=self.table.tokenizer.end_of_document_id,
            plan=asdict(self.plan),
            plan_hash=self.plan.hash(),
            config=self.config.model_dump(mode="json"),
        )


def prepare(config: TrainingConfig, lake: str, out: Path, world_size: int) -> Job:
    """Check a run against its lake, its ranks and its folder; `UsageError` says in one line what does not fit."""
    require_fit(config)
    data_parallel = config.data_parallel(world_size)
    resume = newest_commit(out)
    version = config.data.tokens_version
    if version is None and resume is not None:
        version = int(resume[1].plan["tokens_version"])
    table = open_tokens(lake, version)
    plan = make_plan(config.data, config.batch_sequences, table)
    if plan.epoch_sequences < config.batch_sequences:
        raise NothingToDo(
            f"{table.uri}: {table.tokens} tokens are too few for one batch of {config.batch_sequences} sequences of {config.data.sequence_length}"
        )
    pinned = config.model_copy(update={"data": config.data.model_copy(update={"tokens_version": table.version})})
    job = Job(pinned, lake, out, table, plan, world_size, data_parallel, resume)
    if resume is not None:
        folder, found = resume
        require_same_run(found, job.commit(found.step), folder)
        if found.step > config.steps:
            raise UsageError(f"steps: {config.steps} is behind the checkpoint {folder}, which has {found.step}")
    return job


def make_plan(data: DataConfig, batch_sequences: int, table: TokenTable) -> Plan:
    """The order in which a table's tokens are trained on."""
    sources = tuple(Source(name, tokens) for name, tokens in table.source_tokens.items())
    return Plan(table.version, sources, data.sequence_length, batch_sequences, data.shuffle_block, data.seed)


def describe(job: Job) -> list[str]:
    """The run in a few lines, for `--dry-run`."""
    config, plan = job.config, job.plan
    parameters = config.model.parameters(job.table.tokenizer.vocabulary_size)
    tokens = config.steps * config.batch.tokens
    epochs = config.steps * plan.batch_sequences / plan.epoch_sequences
    return [
        f"parameters      {parameters:,}",
        f"tokens          {job.table.tokens:,} in {len(plan.sources)} source(s), version {plan.tokens_version} of {job.table.uri}",
        f"sequences       {plan.epoch_sequences:,} of {plan.sequence_length} tokens in an epoch",
        f"steps           {config.steps:,} of {config.batch.tokens:,} tokens, {tokens:,} in all, {epochs:.2f} epochs",
        f"tokens a weight {tokens / parameters:.1f}",
        f"layout          {job.layout} on {job.world_size} rank(s)",
        f"starts at step  {job.first_step}",
        f"plan            {plan.hash()}",
    ]
