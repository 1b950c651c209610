"""A real run on two ranks: a document is withdrawn while it trains, and another before it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from schemas.plumbing.exit_codes import DONE
from schemas.tables.withdrawn import WITHDRAWN
from training.audit.exposure import exposures
from training.audit.past_run import PastRun, open_past_run
from training.audit.trace import batch_hash
from training.checkpoints.commit import committed, read_commit
from training.lake_tables import append_rows
from training.reading.pick_ups import FILE
from training.reading.withdrawn import NOTHING
from training.watching.metrics import read_metrics

pytestmark = pytest.mark.distributed

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {
    "data.sequence_length": 32,
    "data.workers": 2,
    "data.withdrawals_seconds": 0.01,
    "model.layers": 1,
    "model.hidden": 32,
    "model.ffn": 64,
    "batch.tokens": 512,
    "batch.micro_sequences": 4,
    "schedule.end_step": 4000,
    "checkpoint.every": 2000,
    "sample.lines": 0,
}
STEPS = 200
"""About five epochs."""


def start(lake: Path, out: Path, steps: int) -> subprocess.Popen[str]:
    options = [part for key, value in (SETTINGS | {"steps": steps}).items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "training.run", "tiny_cpu", "--lake", str(lake), "--out", str(out), "--ranks", "2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *options], cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)


def withdraw(lake: Path, row: dict[str, Any], number: int) -> None:
    out = {"doc_id": row["doc_id"], "source": row["source"], "increment": 0, "n_tokens": row["n_tokens"]}
    out |= {"withdrawal": number, "tokens_version": 0, "reason": "left", "replaced_by": None}
    append_rows(str(lake), WITHDRAWN, [out])


@dataclass(frozen=True)
class Story:
    lake: Path
    out: Path
    rows: list[dict[str, Any]]
    withdrawn_after: int
    said: str

    @property
    def run(self) -> PastRun:
        return open_past_run(self.out, str(self.lake))


@pytest.fixture(scope="module")
def story(
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows_of: Callable[..., list[dict[str, Any]]],
    texts_of: Callable[..., list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Story:
    """The first document is withdrawn after 5 steps or more of the run, which ends; the second one then, and it goes
    on."""
    rows = rows_of(tokenizer, texts_of(150, seed=12))
    folder = tmp_path_factory.mktemp("withdrawals")
    lake, out = new_lake(folder / "lake", rows, tokenizer, rows_per_group=20), folder / "out"
    process = start(lake, out, STEPS)
    while process.poll() is None and len(read_metrics(out)) < 5:
        time.sleep(0.02)
    withdraw(lake, rows[10], 0)
    after = len(read_metrics(out))
    _, said = process.communicate(timeout=300)
    assert process.returncode == DONE, said
    withdraw(lake, rows[20], 1)
    process = start(lake, out, STEPS + 40)
    _, more = process.communicate(timeout=300)
    assert process.returncode == DONE, more
    return Story(lake, out, rows, after, said + more)


def test_a_running_training_takes_a_withdrawal_up_at_a_step_and_a_resumed_one_at_its_first(story: Story) -> None:
    known = [step.withdrawals for step in read_metrics(story.out)]
    taken_up = known.index(1)
    assert story.withdrawn_after <= taken_up < STEPS - 45
    assert known == [0] * taken_up + [1] * (STEPS - taken_up) + [2] * 40
    assert story.run.pick_ups == ((taken_up, 1), (STEPS, 2))
    states = {read_commit(folder).step: read_commit(folder).state["withdrawals"] for folder in committed(story.out)}
    assert states == {STEPS: [[taken_up, 1]], STEPS + 40: [[taken_up, 1], [STEPS, 2]]}
    assert story.said.count("withdrawn documents are left out from here on") == 2


def test_every_step_is_verified_with_what_was_known_and_only_the_touched_ones_differ(story: Story) -> None:
    run, steps = story.run, read_metrics(story.out)
    never = replace(run.table, withdrawn=NOTHING)
    differs = set()
    for step in steps:
        assert batch_hash(run.plan, run.table_at(step.batch), step.batch) == step.batch_hash
        if batch_hash(run.plan, never, step.batch) != step.batch_hash:
            differs.add(step.step)
    read = {
        one.step: one.doc_id
        for row in (story.rows[10], story.rows[20])
        for one in exposures(run.plan, run.table, {row["doc_id"]}, done=0, steps=STEPS + 40, skips=())
    }
    hidden = {
        step for step, doc_id in read.items() if steps[step - 1].withdrawals > (doc_id == story.rows[20]["doc_id"])
    }
    # A step may also hold nothing of a document but the end before it, whose target it was.
    assert hidden <= differs and len(differs) <= len(hidden) + 4
    assert hidden


def test_no_loss_is_counted_of_a_withdrawn_document(story: Story) -> None:
    run = story.run
    for step in read_metrics(story.out):
        (source,) = step.sources.values()
        spans = [
            one
            for row in (story.rows[10], story.rows[20])[: step.withdrawals]
            for one in exposures(run.plan, run.table, {row["doc_id"]}, done=0, steps=STEPS + 40, skips=())
            if one.step == step.step
        ]
        hidden = sum(one.tokens for one in spans)
        # And the one before it, where that is in the batch too.
        assert 512 - hidden - 2 * max(1, len(spans)) <= source.tokens <= 512 - hidden


def test_what_the_folder_does_not_say_the_checkpoint_does(story: Story, tmp_path: Path) -> None:
    assert json.loads((story.out / FILE).read_text()) == [list(one) for one in story.run.pick_ups]
    shutil.copytree(committed(story.out)[-1], tmp_path / "checkpoints" / committed(story.out)[-1].name)
    assert open_past_run(tmp_path, str(story.lake)).pick_ups == story.run.pick_ups
