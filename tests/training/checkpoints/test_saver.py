"""Checkpoints on two real ranks: what an asynchronous one holds, and what becomes of one that cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.distributed

CONFIG = {
    "data": {"sequence_length": 32},
    "model": {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64},
    "parallel": {"tensor": 2, "timeout_seconds": 60},
    "batch": {"tokens": 256},
    "checkpoint": {"keep": 3},
}


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """A disk of two megabytes, where this user may mount one."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = (
        sys.platform == "linux"
        and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode
        == 0
    )
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def ranks(
    lake: Path, small_disk: Path | None, run_ranks: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], str]:
    """What each rank saw, and what the first one logged."""
    folder = tmp_path_factory.mktemp("saves")
    spec = {"config": CONFIG, "lake": str(lake), "small_disk": str(small_disk) if small_disk else None}
    (folder / "spec.json").write_text(json.dumps(spec))
    said = run_ranks("save_jobs.py", folder, 2)
    return [json.loads((folder / f"facts-{rank}.json").read_text()) for rank in range(2)], said[0]


def names(*steps: int) -> list[str]:
    return [f"step-{step:08d}" for step in steps]


def test_two_asynchronous_checkpoints_hold_the_weights_of_their_own_steps(ranks: Any) -> None:
    for rank, facts in enumerate(ranks[0]):
        found = facts["two saves"]
        assert found["weights"] > 20
        assert found["same"] == {"1": {"1": found["weights"], "2": 0}, "2": {"1": 0, "2": found["weights"]}}, (
            f"rank {rank}"
        )


def test_a_save_that_has_begun_is_not_called_saved(ranks: Any) -> None:
    assert ranks[0][0]["two saves"]["committed_on_return"] == [False, False]


def test_a_failed_save_leaves_the_former_checkpoint_and_the_next_one_succeeds(ranks: Any) -> None:
    after = ranks[0][0]["failed save"]["committed"]
    assert after[0] == names(1, 2)
    assert after[1] == names(1, 2, 4)
    assert "checkpoint failed; the former one stays" in ranks[1] and "File too large" in ranks[1]


def test_saves_that_fail_in_a_row_end_the_run_with_the_rank_and_the_last_good_step(ranks: Any) -> None:
    for facts in ranks[0]:
        found = facts["failed save"]
        assert found["committed"][-1] == names(1, 2, 4)
        assert found["message"].startswith(
            "rank 1 could not save step 7, as 3 times in a row: [Errno 27] File too large"
        )
        assert found["message"].endswith("; step 4 is the last one that is saved")


def test_a_save_that_failed_leaves_no_folder(ranks: Any) -> None:
    assert ranks[0][0]["failed save"]["folders"] == names(1, 2, 4)


def test_a_full_disk_is_found_while_writing_and_before(ranks: Any, small_disk: Path | None) -> None:
    if small_disk is None:
        pytest.skip("this user cannot mount a small disk")
    for facts in ranks[0]:
        found = facts["small disk"]
        assert found["committed"] == [names(1), names(1)]
        assert "could not save step 3, as 2 times in a row: [Errno 28] a checkpoint takes " in found["message"]
    assert "No space left on device" in ranks[1]


def test_a_checkpoint_whose_content_changed_falls_back_to_the_one_before_and_is_kept_aside(ranks: Any) -> None:
    for facts in ranks[0]:
        found = facts["flipped byte"]
        assert (found["found"], found["loaded"]) == (4, 2)
        assert found["folders"] == [*names(1, 2), "step-00000004.damaged"]
    assert "checkpoint is damaged; going on from the one before" in ranks[1]


def test_a_save_is_due_by_steps_on_every_rank_and_by_the_first_rank_s_clock(ranks: Any) -> None:
    by_clock = {"minutes": [1, 1], "more minutes": [0, 0], "failures": [1, 1], "few failures": [0, 0]}
    assert ranks[0][0]["due"] == {"steps": [1, 0], **by_clock}
    assert ranks[0][1]["due"] == {"steps": [1, 0], **{name: [0, 0] for name in by_clock}}
