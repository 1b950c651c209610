"""A run that was started before, as its newest checkpoint describes it: what is needed to ask what it trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from schemas.plumbing.errors import UsageError
from training.checkpoints.commit import Commit, committed, newest_commit, step_of
from training.config import TrainingConfig
from training.order.plan import Plan
from training.order.plan_stages import later_versions
from training.order.skips import Skips, batch_of_step, recorded_skips
from training.reading.delta_tokens import TokenTable, open_tokens
from training.reading.documents import TableDocuments
from training.reading.pick_ups import PickUps, known_at, recorded_pick_ups


@dataclass(frozen=True)
class PastRun:
    """The plan and tokens of a run; `table` is at the versions that the run has pinned, without what is withdrawn by
    now."""

    out: Path
    commit: Commit
    config: TrainingConfig
    plan: Plan
    table: TokenTable

    @property
    def skips(self) -> Skips:
        """Ranges of batches that the run left out."""
        return recorded_skips(self.out, self.commit.state)

    @property
    def pick_ups(self) -> PickUps:
        """From which batches on the run knew how many withdrawals."""
        return recorded_pick_ups(self.out, self.commit.state)

    def table_at(self, batch: int) -> TokenTable:
        """The table as the run read it at a batch."""
        return replace(self.table, withdrawn=self.table.withdrawn.first(known_at(self.pick_ups, batch)))

    @property
    def checkpoint_steps(self) -> list[int]:
        return [step_of(folder) for folder in committed(self.out)]

    def batch_of(self, step: int) -> int:
        """The global batch of a step as metrics.jsonl counts them, from 1."""
        if not 1 <= step <= self.config.steps:
            raise UsageError(f"--step: the run has steps 1 to {self.config.steps}, not {step}")
        return batch_of_step(step - 1, self.skips)


def open_past_run(out: Path, lake: str) -> PastRun:
    """`UsageError` where the folder holds no committed checkpoint, or the lake no such tokens."""
    found = newest_commit(out)
    if found is None:
        raise UsageError(f"{out}: holds no committed checkpoint of a run")
    commit = found[1]
    config = TrainingConfig.model_validate(commit.config)
    table = open_tokens(lake, config.data.tokens_version, later_versions(config))
    return PastRun(out, commit, config, Plan.from_dict(commit.plan, TableDocuments(table)), table)
