"""Who this process is in a job that torchrun or srun started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.plumbing.errors import UsageError
from training.launch import RENDEZVOUS, Placement, placement


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "RANK",
        "WORLD_SIZE",
        "SLURM_PROCID",
        "SLURM_STEP_ID",
        "MASTER_ADDR",
        "MASTER_PORT",
        RENDEZVOUS,
        "TORCHELASTIC_USE_AGENT_STORE",
    ):
        monkeypatch.delenv(name, raising=False)


def test_a_process_started_by_hand_has_no_place() -> None:
    assert placement() is None


def test_torchrun_says_rank_and_world(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    place = placement()
    assert place == Placement(5, 8, 1, 4, None)
    assert place.rendezvous is None


def test_local_ranks_meet_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", RENDEZVOUS: str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    place = placement()
    assert place is not None and place.rendezvous == str(tmp_path / "store")


def test_srun_says_rank_and_world_and_where_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = {
        "SLURM_PROCID": "1",
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_LOCALID": "1",
        "SLURM_NNODES": "1",
        "SLURM_JOB_ID": "41007",
    }
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    assert placement() == Placement(1, 2, 1, 2, None)

    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("127.0.0.1", "21007")


def test_a_batch_script_that_srun_did_not_start_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert placement() is None


def test_a_torchrun_that_cannot_restart_is_refused_before_it_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_MAX_RESTARTS": "3",
    }
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        placement()
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "0")
    assert placement() == Placement(0, 2, 0, 1, None)
