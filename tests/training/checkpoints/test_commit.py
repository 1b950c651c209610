"""What is found of a run's checkpoints after half-written saves, lost files and cut ones. No torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.plumbing.errors import UsageError
from training.checkpoints.commit import (
    COMMITTED,
    Commit,
    DamagedCheckpoint,
    committed,
    file_facts,
    folder_of,
    newest_commit,
    read_commit,
    set_aside,
    uncommitted,
    undo_after,
    write_commit,
    wrong_files,
)


def commit(step: int) -> Commit:
    return Commit(step, "tensor 1 x pipeline 1 x data 1", "f" * 64, 320, 0, {"seed": 0}, "abc", {}, {"skips": [[4, 6]]})


def write_checkpoint(out: Path, step: int) -> Path:
    folder = folder_of(out, step)
    folder.mkdir(parents=True)
    for name in ("__0_0.distcp", "__1_0.distcp", ".metadata"):
        (folder / name).write_bytes(f"{name} of step {step}".encode() * 50)
    write_commit(folder, commit(step), {path.name: file_facts(path) for path in folder.iterdir()})
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for step in (10, 20, 30):
        write_checkpoint(tmp_path, step)
    return tmp_path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_commit_comes_back_with_the_state_that_others_put_in(out: Path) -> None:
    assert newest_commit(out) == (folder_of(out, 30), commit(30))
    assert read_commit(folder_of(out, 10)).state == {"skips": [[4, 6]]}


def test_the_batch_that_comes_next_is_further_on_than_the_step_by_what_was_left_out() -> None:
    assert [commit(step).next_batch for step in (3, 4, 10)] == [3, 6, 12]


def test_a_truncated_shard_falls_back_to_the_commit_before(out: Path) -> None:
    cut(folder_of(out, 30) / "__1_0.distcp")
    assert newest_commit(out) == (folder_of(out, 20), commit(20))


def test_a_missing_file_and_an_unreadable_marker_fall_back_too(out: Path) -> None:
    (folder_of(out, 30) / ".metadata").unlink()
    (folder_of(out, 20) / COMMITTED).write_text('{"step": 20')
    assert newest_commit(out) == (folder_of(out, 10), commit(10))


def test_a_folder_without_marker_is_no_checkpoint(out: Path) -> None:
    (folder_of(out, 30) / COMMITTED).unlink()
    assert newest_commit(out) == (folder_of(out, 20), commit(20))
    assert uncommitted(out) == [folder_of(out, 30)]
    with pytest.raises(UsageError, match="is not a committed checkpoint"):
        read_commit(folder_of(out, 30))


def test_where_none_is_whole_the_run_does_not_start_anew_by_itself(out: Path) -> None:
    for step in (10, 20, 30):
        cut(folder_of(out, step) / "__0_0.distcp")
    with pytest.raises(
        DamagedCheckpoint,
        match=r"step-00000030/__0_0.distcp: is missing or not \d+ bytes long.*remove the folder to start anew",
    ):
        newest_commit(out)


def test_a_new_run_has_no_commit(tmp_path: Path) -> None:
    assert newest_commit(tmp_path) is None


def test_each_rank_finds_the_wrong_content_in_its_share(out: Path) -> None:
    folder = folder_of(out, 30)
    flip(folder / "__1_0.distcp")
    assert read_commit(folder).step == 30
    assert [wrong_files(folder, part, 2) for part in range(2)] == [["__1_0.distcp"], []]
    assert wrong_files(folder_of(out, 20), 0, 1) == []


def test_a_damaged_checkpoint_is_renamed_and_a_whole_one_is_not(out: Path) -> None:
    cut(folder_of(out, 30) / ".metadata")
    assert set_aside(folder_of(out, 20)) is None
    reason = set_aside(folder_of(out, 30))
    assert reason is not None and "step-00000030/.metadata: is missing or not" in reason
    assert [folder.name for folder in committed(out)] == ["step-00000010", "step-00000020"]
    assert (out / "checkpoints" / "step-00000030.damaged" / COMMITTED).is_file()
    # The same step is saved again, and damaged again.
    cut(write_checkpoint(out, 30) / ".metadata")
    assert set_aside(folder_of(out, 30))
    assert (out / "checkpoints" / "step-00000030.damaged2").is_dir()


def test_steps_that_are_undone_are_no_checkpoints_any_more(out: Path) -> None:
    assert [folder.name for folder in undo_after(out, 10)] == ["step-00000020.undone", "step-00000030.undone"]
    assert newest_commit(out) == (folder_of(out, 10), commit(10))
