"""A run that is killed, stopped and robbed of its files, and ends as if nothing had been. Real ranks, real signals.

`HEADWATER_KILLS` is how many times the random test kills (1 without it).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from schemas.plumbing.exit_codes import DONE
from training.checkpoints.commit import COMMITTED, committed, folder_of, step_of
from training.watching.metrics import read_metrics

pytestmark = pytest.mark.distributed

REPOSITORY = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("HEADWATER_KILLS", "1"))
STEPS_A_KILL = 80
SETTINGS = {
    "data.sequence_length": 32,
    "model.layers": 2,
    "model.hidden": 32,
    "model.ffn": 64,
    "batch.tokens": 256,
    "batch.micro_sequences": 4,
    "schedule.warmup_steps": 5,
    "checkpoint.every": 10,
    "watchdog.hang_seconds": 3,
    "sample.lines": 0,
}


def start(lake: Path, out: Path, steps: int, restarts: int) -> subprocess.Popen[bytes]:
    options = [
        part for key, value in {**SETTINGS, "steps": steps}.items() for part in ("--set", f"{key}={json.dumps(value)}")
    ]
    places = ["--lake", str(lake), "--out", str(out)]
    command = [
        sys.executable,
        "-m",
        "training.run",
        "tiny_cpu",
        *places,
        "--ranks",
        "2",
        "--restarts",
        str(restarts),
        *options,
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with (out / "said.txt").open("w") as said:
        return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=said, stderr=subprocess.STDOUT)


@dataclass
class Disturbed:
    """A run with restarts, and the attempt that it was last seen in."""

    launcher: subprocess.Popen[bytes]
    out: Path
    attempt: str = ""

    def wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.launcher.poll() is None, (self.out / "said.txt").read_text()
            time.sleep(0.05)

    def wait_for_steps(self) -> None:
        """Until another attempt than the last one makes steps."""
        self.wait_until(lambda: self._moves_of_next_attempt() >= 20)
        self.attempt = next((self.out / "heartbeats").iterdir()).name

    def hit(self, number: int, rank: int) -> None:
        for child in psutil.Process(self.launcher.pid).children():
            if child.environ().get("RANK") == str(rank):
                child.send_signal(number)

    def _moves_of_next_attempt(self) -> int:
        for path in self.out.glob("heartbeats/*/rank-00000.json"):
            try:
                return int(json.loads(path.read_text())["moves"]) if path.parent.name != self.attempt else 0
            except (OSError, ValueError):
                return 0
        return 0


@dataclass(frozen=True)
class Story:
    """The run that nothing happened to, and the same one with all that can."""

    calm: Path
    out: Path
    code: int
    said: str


@pytest.fixture(scope="module")
def story(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    calm, out = tmp_path_factory.mktemp("calm"), tmp_path_factory.mktemp("faults")
    steps = STEPS_A_KILL * (KILLS + 3)
    assert start(lake, calm, steps, 0).wait(timeout=600) == DONE

    run = Disturbed(start(lake, out, steps, KILLS + 2), out)
    draw = random.Random(5)
    try:
        for _ in range(KILLS):
            run.wait_for_steps()
            time.sleep(draw.uniform(0, 0.5))
            run.hit(signal.SIGKILL, draw.randrange(2))
        run.wait_for_steps()
        run.hit(signal.SIGSTOP, 1)
        run.wait_for_steps()
        run.wait_until(lambda: len(committed(out)) == 2)
        # As if the disk had lost the end of the newest checkpoint, and a save had been cut off.
        run.hit(signal.SIGKILL, 0)
        newest = committed(out)[-1]
        shard = newest / "__1_0.distcp"
        os.truncate(shard, shard.stat().st_size // 2)
        folder_of(out, step_of(newest) + 5).mkdir()
        code = run.launcher.wait(timeout=600)
    finally:
        run.launcher.kill()
    return Story(calm, out, code, (out / "said.txt").read_text())


def test_the_run_comes_to_its_end_by_itself(story: Story) -> None:
    assert story.code == DONE, story.said
    assert story.said.count("starting again from the last checkpoint") == KILLS + 2
    assert story.said.count("was killed by SIGKILL") == KILLS + 1


def test_batches_and_losses_are_those_of_the_run_that_nothing_happened_to(story: Story) -> None:
    calm, found = read_metrics(story.calm), read_metrics(story.out)
    assert [step.step for step in found] == list(range(1, len(calm) + 1))
    assert [step.batch_hash for step in found] == [step.batch_hash for step in calm]
    assert [step.loss for step in found] == [step.loss for step in calm]


def test_a_stopped_rank_is_named_with_its_step_and_the_others_leave_their_stacks(story: Story) -> None:
    line = next(line for line in story.said.splitlines() if "no step for" in line)
    assert "rank 1 is behind in step " in line and "and does not answer; stacks in " in line
    # In a step or in a save, whichever it was in when the other rank was stopped.
    assert "in _steps" in (story.out / "failures" / "rank-0-stack.txt").read_text()


def test_a_truncated_file_falls_back_and_is_kept_aside(story: Story) -> None:
    assert "checkpoint is damaged; going on from the one before" in story.said
    assert len(list((story.out / "checkpoints").glob("step-*.damaged"))) == 1


def test_a_folder_without_marker_is_passed_over_and_removed_later(story: Story) -> None:
    assert "a save that did not come to its end is ignored" in story.said
    kept = [path for path in (story.out / "checkpoints").iterdir() if not path.name.endswith(".damaged")]
    assert len(kept) == 2 and all((path / COMMITTED).is_file() for path in kept)
