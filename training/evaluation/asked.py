"""What is asked of a checkpoint, and whether it can be: known before anything heavy starts. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.plumbing.errors import NothingToDo, UsageError
from training.audit.past_run import PastRun
from training.checkpoints.commit import read_commit
from training.config import TrainingConfig
from training.evaluation.memorisation import CONTINUATION, PROMPT
from training.order.plan import Plan
from training.order.plan_stages import later_versions
from training.reading.delta_tokens import open_tokens
from training.reading.documents import TableDocuments


@dataclass(frozen=True)
class Asked:
    """What is asked besides held-out losses. `tokens` None is what the recipe says; `memorised` counts documents of
    each source."""

    tokens: int | None = None
    tasks: tuple[str, ...] = ()
    tasks_folder: Path | None = None
    task_items: int | None = None
    batch_size: int = 8
    memorised: int = 0


def open_checkpoint(folder: Path, lake: str, asked: Asked) -> PastRun:
    """The run of a committed checkpoint, as it was then; `UsageError` or `NothingToDo` where what is asked cannot be
    answered."""
    commit = read_commit(folder)
    config = TrainingConfig.model_validate(commit.config)
    if asked.tokens is not None:
        config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"tokens": asked.tokens})})
    if not (config.data.held_out_tokens or asked.tasks or asked.memorised):
        raise NothingToDo(
            f"{folder}: its run held no tokens back (data.held_out_tokens); --tasks and --memorisation ask for "
            f"something else"
        )
    if (asked.tasks or asked.memorised) and not config.objective.is_causal:
        raise UsageError(
            f"{folder}: a {config.objective.kind} model predicts no next token, which --tasks and --memorisation ask "
            f"for"
        )
    longest = max(stage.sequence_length for stage in Plan.from_dict(commit.plan).stages)
    if asked.memorised and longest < PROMPT + CONTINUATION:
        raise UsageError(
            f"--memorisation: needs sequences of {PROMPT + CONTINUATION} tokens, and the longest of the run have "
            f"{longest}"
        )
    table = open_tokens(lake, config.data.tokens_version, later_versions(config))
    if table.tokenizer.fingerprint != commit.tokenizer:
        raise UsageError(
            f"{lake}: its tokens are of tokenizer {table.tokenizer.fingerprint[:12]}, and {folder} was trained with "
            f"{commit.tokenizer[:12]}"
        )
    return PastRun(folder.parent.parent, commit, config, Plan.from_dict(commit.plan, TableDocuments(table)), table)
