"""The file of a run's steps: what a resumed run finds of it, and a disk that is full for a while."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog

from training.watching.metrics import JsonLines, whole_lines


@pytest.fixture
def no_log() -> Iterator[None]:
    """The log of a test is a file too, and would be full."""
    with structlog.testing.capture_logs():
        yield


def line(step: int) -> str:
    return json.dumps({"step": step, "loss": 1 / step})


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_is_opened_again_forgets_later_steps_and_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with closing(JsonLines(path, 0)) as lines:
        for step in (1, 2, 3, 4):
            lines.write(line(step))
        lines.rewind(3)
        lines.write(line(4))
    with path.open("a") as file:
        file.write(line(5)[:7])
    assert whole_lines(path) == [line(step) for step in (1, 2, 3, 4)]
    with closing(JsonLines(path, 2)) as lines:
        lines.write(line(3))
    assert path.read_text() == "".join(line(step) + "\n" for step in (1, 2, 3))


def test_lines_wait_while_the_disk_is_full_and_none_is_cut_or_lost(tmp_path: Path, no_log: None) -> None:
    path = tmp_path / "metrics.jsonl"
    with closing(JsonLines(path, 0)) as lines:
        lines.write(line(1))
        # Room for half of the next line.
        with files_of_at_most(len(line(1)) + 1 + len(line(2)) // 2):
            lines.write(line(2))
            lines.write(line(3))
            assert path.read_text() == line(1) + "\n"
        lines.write(line(4))
        assert whole_lines(path) == [line(step) for step in (1, 2, 3, 4)]


def test_lines_that_wait_are_forgotten_with_their_steps(tmp_path: Path, no_log: None) -> None:
    path = tmp_path / "metrics.jsonl"
    with closing(JsonLines(path, 0)) as lines:
        lines.write(line(1))
        with files_of_at_most(len(line(1)) + 1):
            lines.write(line(2))
            lines.write(line(3))
            lines.rewind(2)
        lines.write(line(3))
        assert whole_lines(path) == [line(step) for step in (1, 2, 3)]
