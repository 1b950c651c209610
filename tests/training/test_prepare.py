"""What a run may go on with, and what it is refused for, before anything heavy starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tokenizers import Tokenizer

from schemas.plumbing.errors import NothingToDo, UsageError
from schemas.tables.tokens import TOKENS
from training.checkpoints.commit import folder_of, write_commit
from training.config import BatchConfig, DataConfig, StageConfig, TrainingConfig
from training.prepare import prepare

Rows = list[dict[str, Any]]


def config(*stages: StageConfig, **changes: Any) -> TrainingConfig:
    return TrainingConfig(
        **{
            "data": DataConfig(sequence_length=64),
            "batch": BatchConfig(tokens=512, micro_sequences=1),
            "steps": 40,
            "stages": stages,
            **changes,
        }
    )


def stopped_run(lake: Path, out: Path, step: int, **state: Any) -> Path:
    """A run of the plain configuration with a checkpoint after `step` steps."""
    commit = replace(prepare(config(), str(lake), out, 1).commit(step), state=state)
    folder = folder_of(out, step)
    folder.mkdir(parents=True)
    write_commit(folder, commit, {})
    return out


def test_a_stage_that_is_still_to_come_can_be_added_to_a_run(lake: Path, tmp_path: Path) -> None:
    out = stopped_run(lake, tmp_path, 10)
    job = prepare(config(StageConfig(from_step=10, weights={"web": 1.0}), steps=90), str(lake), out, 1)
    assert (job.first_step, [stage.first_batch for stage in job.plan.stages]) == (10, [0, 10])


def test_a_stage_that_would_change_what_has_been_read_is_refused_by_its_key(lake: Path, tmp_path: Path) -> None:
    out = stopped_run(lake, tmp_path, 10)
    with pytest.raises(
        UsageError, match=r"is a checkpoint of another run: .*plan\.stages\.1\.first_batch None there, 9 here"
    ):
        prepare(config(StageConfig(from_step=9, weights={"web": 1.0})), str(lake), out, 1)
    with pytest.raises(UsageError, match=r"plan\.stages\.0\.packing chop there, best_fit here"):
        prepare(config(data=DataConfig(sequence_length=64, packing="best_fit")), str(lake), out, 1)


def test_batches_that_were_left_out_count_as_past(lake: Path, tmp_path: Path) -> None:
    # Ten steps have gone through sixteen batches, of which six were left out.
    out = stopped_run(lake, tmp_path, 10, skips=[[3, 9]])
    with pytest.raises(UsageError, match=r"plan\.stages\.1\.first_batch None there, 12 here"):
        prepare(config(StageConfig(from_step=12, sequence_length=128)), str(lake), out, 1)
    assert prepare(config(StageConfig(from_step=16, sequence_length=128)), str(lake), out, 1).first_step == 10


def later_rows(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist([row | {"increment": 1} for row in rows], schema=TOKENS.arrow())


def test_a_resumed_run_keeps_its_version_and_a_stage_can_join_the_next(
    tmp_path: Path,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows_of: Callable[..., Rows],
    texts_of: Callable[..., list[str]],
) -> None:
    rows = rows_of(tokenizer, texts_of(60))
    lake = new_lake(tmp_path / "lake", rows[::2], tokenizer)
    out = stopped_run(lake, tmp_path / "run", 3)
    write_deltalake(str(lake / "tokens"), later_rows(rows[1::2]), mode="append", partition_by=TOKENS.partition_by)
    assert prepare(config(), str(lake), out, 1).table.versions == (0,)
    joined = prepare(config(StageConfig(from_step=5, tokens_version=1)), str(lake), out, 1)
    assert [(part.source, part.number, part.tokens_version) for part in joined.plan.parts] == [
        ("web", 0, 0),
        ("web", 1, 1),
    ]


def test_a_run_that_is_further_than_it_is_asked_for_is_refused(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"steps: 8 is behind the checkpoint .* which has 10"):
        prepare(config(steps=8), str(lake), stopped_run(lake, tmp_path, 10), 1)


def test_batches_that_ranks_cannot_share_are_refused_with_their_step(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"12 sequences a batch from step 5 are no multiple of 8 data-parallel ranks x batch\.micro_sequences 1",
    ):
        prepare(config(StageConfig(from_step=5, batch_tokens=768)), str(lake), tmp_path, 8)


def test_too_few_tokens_for_one_batch_are_nothing_to_do(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="tokens are too few for one batch of 1024 sequences of 64"):
        prepare(config(batch=BatchConfig(tokens=65536, micro_sequences=1)), str(lake), tmp_path, 1)
