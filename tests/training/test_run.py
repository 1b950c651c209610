"""Real runs on real ranks: stopped by a signal, killed, failed on one rank, resumed to the end, exported and
sampled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tokenizers import Tokenizer

from schemas.plumbing.exit_codes import CONTRACT_BROKEN, DONE, FAILED, RUN_AGAIN, USAGE
from schemas.tables.runs import RUNS
from training.checkpoints.commit import COMMITTED, committed
from training.exchange.export_hf import export
from training.watching.metrics import read_metrics

pytestmark = pytest.mark.distributed

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {
    "data.sequence_length": 32,
    "model.layers": 2,
    "model.hidden": 32,
    "model.ffn": 64,
    "parallel.tensor": 2,
    "batch.tokens": 256,
    "batch.micro_sequences": 4,
    "schedule.end_step": 60,
    "schedule.warmup_steps": 5,
    "checkpoint.every": 10,
    "sample.lines": 2,
    "sample.tokens": 12,
}


def start(lake: Path, out: Path, ranks: int = 2, **changes: Any) -> subprocess.Popen[str]:
    settings = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    command = [
        sys.executable,
        "-m",
        "training.run",
        "tiny_cpu",
        "--lake",
        str(lake),
        "--out",
        str(out),
        "--ranks",
        str(ranks),
        *options,
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    while process.poll() is None and (not (out / "metrics.jsonl").exists() or len(read_metrics(out)) < step):
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()


@dataclass(frozen=True)
class Story:
    """One run: stopped by SIGUSR1, killed with SIGKILL, taken to its end, and asked for again."""

    out: Path
    lake: Path
    stopped_code: int
    commits_after_stop: list[str]
    steps_after_stop: int
    commits_before_kill: list[str]
    commits_after_kill: list[str]
    finished: tuple[int, str, str]
    again: tuple[int, str, str]


@pytest.fixture(scope="module")
def story(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    out = tmp_path_factory.mktemp("run")
    endless = 100_000
    process = start(lake, out, steps=endless)
    wait_for_step(process, out, 13)
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=120)
    stopped_code, after_stop, steps = process.returncode, names(out), len(read_metrics(out))

    process = start(lake, out, steps=endless)
    wait_for_step(process, out, steps + 15)
    before = names(out)
    process.kill()
    process.communicate(timeout=60)
    after = names(out)

    last = int(after[-1].removeprefix("step-")) + 12
    process = start(lake, out, steps=last)
    printed = process.communicate(timeout=200)
    finished = (process.returncode, *printed)
    process = start(lake, out, steps=last)
    printed = process.communicate(timeout=200)
    return Story(out, lake, stopped_code, after_stop, steps, before, after, finished, (process.returncode, *printed))


def names(out: Path) -> list[str]:
    return [folder.name for folder in committed(out)]


def test_a_signal_saves_the_step_it_came_in_and_says_run_again(story: Story) -> None:
    assert story.stopped_code == RUN_AGAIN
    assert story.commits_after_stop[-1] == f"step-{story.steps_after_stop:08d}"


def test_a_kill_loses_no_committed_checkpoint(story: Story) -> None:
    assert set(story.commits_before_kill[-1:]) <= set(story.commits_after_kill)


def test_the_same_command_goes_on_and_ends(story: Story) -> None:
    code, out, err = story.finished
    assert code == DONE, err
    steps = read_metrics(story.out)
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    for word in ("first loss", "last loss", "tokens", "checkpoint", "metrics", "sample"):
        assert word in out
    assert f"{steps[0].loss:.4f}" in out and f"{steps[-1].loss:.4f}" in out


def test_a_finished_run_is_not_run_again(story: Story) -> None:
    assert story.again[:2] == story.finished[:2]


def test_the_newest_two_commits_stay_and_nothing_else(story: Story) -> None:
    kept = names(story.out)
    assert len(kept) == 2
    assert sorted(path.name for path in (story.out / "checkpoints").iterdir()) == kept


def test_the_ledger_has_one_row_of_the_finished_run(story: Story) -> None:
    table = DeltaTable(str(story.lake / "runs"))
    assert table.metadata().configuration == {"delta.constraints.seconds_not_negative": "seconds >= 0 IS NOT FALSE"}
    rows = [row for row in pa.table(table.to_pyarrow_table()).to_pylist() if row["output_table"] == str(story.out)]
    assert len(rows) == 1
    assert set(rows[0]) == set(RUNS.column_names)
    assert rows[0]["stage"] == "pretrain"
    counts = json.loads(rows[0]["counts"])
    steps = read_metrics(story.out)
    assert counts == {
        "steps": len(steps),
        "tokens": steps[-1].tokens,
        "first_loss": steps[0].loss,
        "last_loss": steps[-1].loss,
    }


def test_another_model_or_order_is_refused_by_name(story: Story) -> None:
    process = start(story.lake, story.out, steps=999, model__ffn=96, data__seed=4)
    _, err = process.communicate(timeout=60)
    assert process.returncode == USAGE
    assert "is a checkpoint of another run: plan.seed 0 there, 4 here; model.ffn 64 there, 96 here" in err
    assert err.count("\n") == 1


def test_a_checkpoint_that_lost_a_file_is_refused(story: Story, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    (folder / COMMITTED).write_text((committed(story.out)[-1] / COMMITTED).read_text())
    process = start(story.lake, tmp_path, steps=999)
    _, err = process.communicate(timeout=60)
    assert process.returncode == USAGE
    assert "is missing or not" in err and "remove the folder" in err


def test_auto_tokenizer_loads_beside_the_exported_model(story: Story, tmp_path: Path, tokenizer: Tokenizer) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install headwater[eval]"
    )
    export(committed(story.out)[-1], tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = "The river feeds  the mill.\n\tcaf\u00e9 2026"
    assert loaded(text).input_ids == tokenizer.encode(text).ids
    assert loaded.decode(loaded(text).input_ids) == text
    assert loaded.eos_token == "<|endoftext|>"


def test_a_failure_on_one_rank_ends_all_with_its_message(
    tmp_path: Path,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows_of: Callable[..., list[dict[str, Any]]],
    texts_of: Callable[..., list[str]],
) -> None:
    rows = rows_of(tokenizer, texts_of(40))
    rows[-1]["n_tokens"] += 1
    lake = new_lake(tmp_path / "lake", rows, tokenizer, rows_per_group=20)
    # One batch is the whole epoch, so that only the second rank reads the row group whose counts are wrong.
    sequences = (sum(row["n_tokens"] for row in rows) - 1) // 32 // 8 * 8
    process = start(lake, tmp_path / "out", steps=5, parallel__tensor=1, batch__tokens=32 * sequences)
    _, err = process.communicate(timeout=120)
    assert process.returncode == CONTRACT_BROKEN, err
    line = err.rstrip("\n").splitlines()[-1]
    assert line.startswith("pretrain: rank 1: ")
    assert "where n_tokens says otherwise" in line


def test_a_killed_rank_ends_the_others_and_is_named(lake: Path, tmp_path: Path) -> None:
    process = start(lake, tmp_path, steps=100_000)
    wait_for_step(process, tmp_path, 3)
    ranks = {child.environ()["RANK"]: child for child in psutil.Process(process.pid).children()}
    ranks["1"].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == FAILED
    assert err.rstrip("\n").splitlines()[-1] == "pretrain: rank 1 was killed by SIGKILL"
    assert not ranks["0"].is_running()
