"""A checkpoint put to the test after training: all that `pretrain evaluate` finds, in its report and in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from tokenizers import Tokenizer

from schemas.plumbing.errors import NothingToDo, UsageError
from schemas.tables.decontamination import DECONTAMINATION
from training.checkpoints.commit import committed
from training.evaluation.asked import Asked, open_checkpoint
from training.evaluation.evaluation_file import read_evaluations

pytestmark = pytest.mark.distributed

CONFIG = {
    "data": {"sequence_length": 128, "held_out_tokens": 500, "document_mask": True},
    "model": {"layers": 2, "hidden": 96, "heads": 4, "query_groups": 2, "ffn": 256},
    "batch": {"tokens": 512, "micro_sequences": 4},
    "optimizer": {"learning_rate": 1e-2, "weight_decay": 0.0},
    "schedule": {"warmup_steps": 10},
    "steps": 400,
    "checkpoint": {"every": 400, "keep": 1},
    "evaluation": {"every": 400},
    "sample": {"lines": 0},
    "watch": {"tensorboard": False, "statistics_every": 0},
}
TASK = """
task: rivers
dataset_path: json
dataset_kwargs:
  data_files: {folder}/rivers.jsonl
test_split: train
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture(scope="module")
def rows(
    tokenizer: Tokenizer, rows_of: Callable[..., list[dict[str, Any]]], texts_of: Callable[..., list[str]]
) -> list[dict[str, Any]]:
    return rows_of(tokenizer, texts_of(16, seed=10))


@pytest.fixture(scope="module")
def lake(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows: list[dict[str, Any]],
) -> Path:
    folder = new_lake(tmp_path_factory.mktemp("lake"), rows, tokenizer)
    shared = {"crawl": "c", "ngrams": 9, "document_share": 0.1, "items": 1, "item_id": "7", "rule": "1"}
    found = [
        {"doc_id": rows[0]["doc_id"], "set_name": "quiz", "item_share": 1.0, **shared},
        {"doc_id": rows[1]["doc_id"], "set_name": "quiz", "item_share": 0.5, **shared},
        {"doc_id": "not in the corpus", "set_name": "quiz", "item_share": 1.0, **shared},
    ]
    write_deltalake(
        str(folder / "decontamination"),
        pa.Table.from_pylist(found, schema=DECONTAMINATION.arrow()),
        partition_by=["crawl"],
    )
    return folder


@pytest.fixture(scope="module")
def out(lake: Path, run_jobs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install headwater[eval]")
    out, tasks = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("tasks")
    items = [
        {"question": f"The {noun} feeds the", "choices": [" mill.", " quartz"], "answer": 0}
        for noun in ("river", "spring", "boat", "heron")
    ]
    (tasks / "rivers.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tasks / "rivers.yaml").write_text(TASK.format(folder=tasks))
    checkpoint = out / "checkpoints" / "step-00000400"
    trains = {"lake": str(lake), "out": str(out), "ranks": 1, "config": CONFIG}
    run_jobs(
        [trains, {"ranks": 1, "evaluate": str(checkpoint), "lake": str(lake), "tasks_folder": str(tasks)}], ranks=1
    )
    return out


@pytest.fixture(scope="module")
def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "evaluation" / "step-00000400.json").read_text())


def test_held_out_losses_are_those_of_the_loop(out: Path, report: dict[str, Any]) -> None:
    (expected,) = read_evaluations(out)
    (found,) = report["held_out"]
    assert found == {**found, "step": 400, "source": "web", "objective": "causal", "tokens": expected.tokens}
    assert found["loss"] == pytest.approx(expected.loss, abs=1e-6)
    assert found["bits_per_byte"] == pytest.approx(expected.bits_per_byte, abs=1e-6)


def test_a_task_of_a_folder_runs_offline_on_the_exported_model(report: dict[str, Any]) -> None:
    (found,) = report["tasks"]
    assert (found["task"], found["measure"], found["items"]) == ("rivers", "acc", 4)
    assert found["value"] == 1.0


def test_what_was_read_often_comes_back_and_what_was_held_out_does_not(report: dict[str, Any]) -> None:
    held_out, *read = report["memorised"]
    assert held_out["reads"] is None and held_out["share_50"] == 0
    assert read and all(group["reads"] >= 20 for group in read)
    documents = sum(group["stretches"] for group in read)
    assert sum(group["mean_tokens"] * group["stretches"] for group in read) / documents > held_out["mean_tokens"]


def test_evaluation_sets_that_were_read_are_counted_by_document(report: dict[str, Any]) -> None:
    assert report["overlaps"] == [{"set_name": "quiz", "documents": 3, "documents_read": 2, "whole_items_read": 1}]


def test_the_ledger_has_a_row_with_the_numbers(out: Path, lake: Path, report: dict[str, Any]) -> None:
    (row,) = [
        row
        for row in pa.table(DeltaTable(str(lake / "runs")).to_pyarrow_table()).to_pylist()
        if row["stage"] == "evaluate"
    ]
    counts = json.loads(row["counts"])
    assert row["output_table"] == str(out / "evaluation" / "step-00000400.json")
    assert json.loads(row["inputs"])["checkpoint"] == "400"
    assert counts["held_out/web/causal/loss"] == report["held_out"][0]["loss"]
    assert counts["task/rivers/acc"] == 1.0 and counts["documents_read/quiz"] == 2


@pytest.mark.parametrize(
    ("change", "asked", "error", "message"),
    [
        ({"data": {"held_out_tokens": 0}}, Asked(), NothingToDo, "its run held no tokens back"),
        ({"objective": {"kind": "masked"}}, Asked(memorised=1), UsageError, "a masked model predicts no next token"),
        (
            {"objective": {"kind": "masked"}},
            Asked(tasks=("rivers",)),
            UsageError,
            "a masked model predicts no next token",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(
    out: Path, lake: Path, tmp_path: Path, change: dict[str, Any], asked: Asked, error: type[Exception], message: str
) -> None:
    marker = json.loads((committed(out)[0] / "COMMITTED.json").read_text())
    config = {**marker["config"], **{group: {**marker["config"][group], **values} for group, values in change.items()}}
    folder = tmp_path / "checkpoints" / "step-00000400"
    folder.mkdir(parents=True)
    (folder / "COMMITTED.json").write_text(json.dumps({**marker, "files": {}, "config": config}))
    with pytest.raises(error, match=message):
        open_checkpoint(folder, str(lake), asked)
