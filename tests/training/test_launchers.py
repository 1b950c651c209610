"""Runs under torchrun and under a real Slurm, disturbed on the way, against a run that nothing disturbed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from schemas.plumbing.exit_codes import DONE, USAGE
from tests.training.slurm_cluster import Cluster, start_cluster, why_not
from training.checkpoints.commit import committed

pytestmark = pytest.mark.distributed

REPOSITORY = Path(__file__).resolve().parents[2]
SBATCH = REPOSITORY / "training" / "slurm"
ENDLESS = 100_000
STEPS = 120
VARIABLES = {
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "HEADWATER_PYTHON": sys.executable,
    "PYTHONPATH": str(REPOSITORY),
}


def write_recipe(folder: Path, steps: int) -> Path:
    """A tiny model on two data-parallel ranks. Read again at every start, so that a test can set the end of a run
    that is under way."""
    recipe = {
        "data": {"sequence_length": 64},
        "model": {"layers": 2, "hidden": 32, "heads": 2, "query_groups": 2, "ffn": 64, "tied": True},
        "batch": {"tokens": 1024, "micro_sequences": 2},
        "optimizer": {"learning_rate": 0.01},
        "schedule": {"warmup_steps": 5, "end_step": 60},
        "checkpoint": {"every": 10},
        "sample": {"lines": 1, "tokens": 4},
        "steps": steps,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    part = path.with_suffix(".part")
    part.write_text(yaml.safe_dump(recipe))
    part.replace(path)
    return path


def history(out: Path) -> list[tuple[int, float, str]]:
    """Step, loss and batch hash of every step that is on record."""
    path = out / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [(row["step"], row["loss"], row["batch_hash"]) for row in map(json.loads, lines)]


def wait_for(condition: Callable[[], Any], alive: Callable[[], bool]) -> None:
    while not condition():
        assert alive(), "the run ended too early"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, float, str]]:
    """The history of a run of STEPS steps."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = [
        sys.executable,
        "-m",
        "training.run",
        str(write_recipe(folder, STEPS)),
        "--lake",
        str(lake),
        "--out",
        str(folder / "out"),
        "--ranks",
        "2",
    ]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, **VARIABLES}, capture_output=True, text=True, check=False
    )
    assert done.returncode == DONE, done.stderr
    return history(folder / "out")


def assert_same(found: list[tuple[int, float, str]], expected: list[tuple[int, float, str]]) -> None:
    assert [step for step, _, _ in found] == list(range(1, len(found) + 1))
    common = min(len(found), len(expected))
    assert found[:common] == expected[:common]


def test_torchrun_starts_again_from_the_last_commit_when_a_rank_is_killed(
    lake: Path, tmp_path: Path, undisturbed: list[tuple[int, float, str]]
) -> None:
    out = tmp_path / "out"
    recipe = write_recipe(tmp_path, ENDLESS)
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--max-restarts=1",
        "--monitor-interval=0.2",
    ]
    command = [*launcher, "-m", "training.run", str(recipe), "--lake", str(lake), "--out", str(out)]
    environment = {**os.environ, **VARIABLES, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: len(history(out)) >= 25 and committed(out), lambda: process.poll() is None)
    write_recipe(tmp_path, 60 + len(history(out)))
    (killed,) = [child for child in psutil.Process(process.pid).children() if child.environ().get("RANK") == "1"]
    killed.kill()
    wait_for(lambda: "1" in restart_counts(process.pid), lambda: process.poll() is None)
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == DONE, printed
    assert len(history(out)) > 80
    assert_same(history(out), undisturbed)


def restart_counts(launcher: int) -> set[str | None]:
    """How often torchrun has started its ranks again, as those that run now were told."""
    counts = set()
    for child in psutil.Process(launcher).children():
        with contextlib.suppress(psutil.Error):
            counts.add(child.environ().get("TORCHELASTIC_RESTART_COUNT"))
    return counts


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    with start_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def rank_of_job(job: str, rank: int) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if (environment.get("SLURM_JOB_ID"), environment.get("SLURM_PROCID")) == (
                job,
                str(rank),
            ) and "SLURM_STEP_ID" in environment:
                return process
        except psutil.Error:
            continue
    raise AssertionError(f"no rank {rank} of job {job}")


@pytest.mark.slurm
def test_slurm_restarts_killed_ranks_and_requeues_a_job_that_was_warned(
    cluster: Cluster, lake: Path, tmp_path: Path, undisturbed: list[tuple[int, float, str]]
) -> None:
    out = tmp_path / "out"
    recipe = write_recipe(tmp_path, ENDLESS)
    options = ["--parsable", "--ntasks=2", f"--output={tmp_path}/log"]
    job = cluster.command(
        "sbatch",
        *options,
        str(SBATCH / "single_node.sbatch"),
        str(recipe),
        "--lake",
        str(lake),
        "--out",
        str(out),
        cwd=REPOSITORY,
        **VARIABLES,
    ).strip()

    def alive() -> bool:
        return cluster.job(job)["JobState"] in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED")

    def log() -> str:
        return (tmp_path / "log").read_text()

    wait_for(lambda: len(history(out)) >= 15 and committed(out), alive)
    rank_of_job(job, 1).kill()
    wait_for(lambda: "started again from the last commit" in log(), alive)
    before = len(history(out))
    wait_for(lambda: len(history(out)) > before + 5, alive)
    cluster.command("scancel", "--signal=USR1", job)
    wait_for(lambda: cluster.job(job)["Restarts"] == "1", alive)
    saved = committed(out)[-1].name
    assert saved == f"step-{len(history(out)):08d}"
    write_recipe(tmp_path, len(history(out)) + 20)
    wait_for(lambda: not alive(), lambda: True)
    assert (cluster.job(job)["JobState"], cluster.job(job)["ExitCode"]) == ("COMPLETED", "0:0"), log()
    assert "stopped on request, state saved" in log()
    assert_same(history(out), undisturbed)


@pytest.mark.slurm
def test_ranks_on_two_nodes_meet_and_a_wrong_setting_is_told_once(
    cluster: Cluster, lake: Path, tmp_path: Path, undisturbed: list[tuple[int, float, str]]
) -> None:
    options = [
        "--wait",
        "--nodes=2",
        "--ntasks-per-node=1",
        f"--output={tmp_path}/log",
        str(SBATCH / "multi_node.sbatch"),
    ]
    run = [str(write_recipe(tmp_path, 12)), "--lake", str(lake), "--out", str(tmp_path / "out")]
    variables = {**VARIABLES, "MASTER_ADDR": "127.0.0.1"}
    cluster.command("sbatch", *options, *run, "--set", "batch.tokens=1000", code=USAGE, cwd=REPOSITORY, **variables)
    assert (tmp_path / "log").read_text().count("pretrain: batch.tokens: 1000 is no multiple") == 1, (
        tmp_path / "log"
    ).read_text()
    cluster.command("sbatch", *options, *run, cwd=REPOSITORY, **variables)
    found = history(tmp_path / "out")
    assert len(found) == 12
    assert_same(found, undisturbed)
