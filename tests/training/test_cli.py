"""Bad requests end with one clear line and a code, before anything heavy starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from schemas.plumbing.exit_codes import NOTHING_TO_DO, USAGE
from training.cli import main

SMALL = ["--set", "data.sequence_length=32", "--set", "batch.tokens=256", "--set", "batch.micro_sequences=2"]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_a_dry_run_shows_the_resolved_run(call: Call, lake: Path, tmp_path: Path) -> None:
    code, out, _ = call("run", "tiny_cpu", "--lake", lake, "--out", tmp_path, "--ranks", 2, *SMALL, "--dry-run")
    assert code == 0
    assert "tokens_version: 2" in out
    for word in ("parameters", "tokens", "steps", "epochs", "tensor 1 x pipeline 1 x data 2"):
        assert word in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "model.layer=3"], "model.layer: unknown key"),
        (["--set", "steps=soon"], "steps: Input should be a valid integer"),
        (
            ["--ranks", "3", "--set", "parallel.tensor=2"],
            "world size 3 does not fit parallel.tensor 2 x parallel.pipeline 1",
        ),
        (["--set", "data.tokens_version=77"], "cannot be opened at version 77"),
        (["--ranks", "none"], "Invalid value for '--ranks'"),
        (["--colour"], "No such option: --colour"),
    ],
)
def test_a_bad_request_is_one_line_and_code_2(
    call: Call, lake: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, out, err = call("run", "tiny_cpu", "--lake", lake, "--out", tmp_path, *arguments)
    assert code == USAGE
    assert out == ""
    assert err.startswith("pretrain: ") and err.count("\n") == 1
    assert message in err


def test_a_missing_lake_is_one_line_and_code_2(call: Call, tmp_path: Path) -> None:
    code, _, err = call("run", "tiny_cpu", "--lake", tmp_path / "lake", "--out", tmp_path)
    assert (code, err) == (USAGE, f"pretrain: {tmp_path / 'lake'}: there is no lake here\n")


def test_a_missing_lake_option_is_one_line_and_code_2(call: Call, tmp_path: Path) -> None:
    code, _, err = call("run", "tiny_cpu", "--out", tmp_path)
    assert code == USAGE
    assert err == "pretrain: Missing option '--lake'. (see pretrain --help)\n"


def test_another_tokenizer_is_one_line_and_code_2(
    call: Call,
    tmp_path: Path,
    tokenizer: Tokenizer,
    tokenizer_of: Callable[..., Tokenizer],
    rows_of: Callable[..., list[dict[str, Any]]],
    texts_of: Callable[..., list[str]],
    new_lake: Callable[..., Path],
) -> None:
    texts = texts_of(20)
    lake = new_lake(tmp_path / "lake", rows_of(tokenizer, texts), tokenizer_of(texts, 300))
    code, _, err = call("run", "tiny_cpu", "--lake", lake, "--out", tmp_path / "out")
    assert code == USAGE
    assert "was made with tokenizer" in err and err.count("\n") == 1


def test_too_few_tokens_for_a_batch_are_nothing_to_do(call: Call, lake: Path, tmp_path: Path) -> None:
    code, _, err = call("run", "tiny_cpu", "--lake", lake, "--out", tmp_path, "--set", "batch.tokens=1048576")
    assert code == NOTHING_TO_DO
    assert "tokens are too few for one batch of 8192 sequences of 128" in err


def test_a_folder_that_is_no_checkpoint_is_refused(call: Call, tmp_path: Path) -> None:
    code, _, err = call("export-hf", tmp_path, "--out", tmp_path / "hf")
    assert code == USAGE
    assert err == f"pretrain: {tmp_path}: is not a committed checkpoint (COMMITTED.json is missing)\n"
