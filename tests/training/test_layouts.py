"""The same training, whatever the layout: losses, batches, and resuming in another layout. Real gloo ranks, up to four."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.commit import committed, read_commit
from training.config import DataConfig
from training.delta_tokens import open_tokens
from training.export_hf import export
from training.loader import BatchReader
from training.metrics import StepMetrics, read_metrics
from training.prepare import make_plan

pytestmark = pytest.mark.distributed

LAYOUTS = {
    # name: (tensor, pipeline, data, sequence parallel)
    "one rank": (1, 1, 1, False),
    "tensor 2": (2, 1, 1, False),
    "tensor 2 with sequence parallelism": (2, 1, 1, True),
    "pipeline 2": (1, 2, 1, False),
    "data 2": (1, 1, 2, False),
    "tensor 2 x pipeline 2": (2, 2, 1, False),
    "tensor 2 x pipeline 2 with sequence parallelism": (2, 2, 1, True),
}
RESUMED = {
    # (kind, layout of steps 1 to 10, layout of steps 11 to 20)
    ("sgd", "tensor 2", "pipeline 2"),
    ("adamw", "pipeline 2", "data 2"),
    ("adamw", "data 2", "tensor 2 x pipeline 2 with sequence parallelism"),
    ("adamw", "tensor 2 x pipeline 2", "one rank"),
}
EXPORTED = [("sgd", "tensor 2 x pipeline 2 with sequence parallelism"), ("adamw", "tensor 2"), ("adamw", "pipeline 2")]
TOKENS = [[(7 * place + 31 * row) % 300 for place in range(32)] for row in range(2)]
TOLERANCE = {"sgd": 1e-6, "adamw": 1e-3}
STEPS = 20

Runs = dict[Any, Path]


def job(lake: Path, out: Path, kind: str, layout: str) -> dict[str, Any]:
    tensor, pipeline, data, sequence_parallel = LAYOUTS[layout]
    return {
        "lake": str(lake),
        "out": str(out),
        "ranks": tensor * pipeline * data,
        "config": {
            "data": {"sequence_length": 32, "shuffle_block": 16},
            "model": {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64, "tied": kind == "adamw"},
            "parallel": {"tensor": tensor, "pipeline": pipeline, "sequence_parallel": sequence_parallel},
            "batch": {"tokens": 256, "micro_sequences": 2},
            "optimizer": {"kind": kind, "learning_rate": 0.1 if kind == "sgd" else 3e-3},
            "schedule": {"warmup_steps": 4},
            "steps": STEPS,
            "checkpoint": {"every": 10, "keep": 2},
            "sample": {"lines": 0},
        },
    }


@pytest.fixture(scope="module")
def runs(lake: Path, run_jobs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("layouts")
    jobs, outs = [], {}
    for kind in ("sgd", "adamw"):
        for layout in LAYOUTS:
            outs[kind, layout] = folder / f"{len(outs)}"
            jobs.append(job(lake, outs[kind, layout], kind, layout))
    for kind, first, second in sorted(RESUMED):
        outs[kind, first, second] = folder / f"{len(outs)}"
        jobs.append({**job(lake, outs[kind, first, second], kind, second), "continues": str(outs[kind, first]), "checkpoint": "step-00000010"})
    for kind, layout in EXPORTED:
        checkpoint = outs[kind, layout] / "checkpoints" / "step-00000020"
        jobs.append({"ranks": 1, "logits_of": str(checkpoint), "tokens": TOKENS, "out": str(outs[kind, layout] / "logits.pt")})
    run_jobs(jobs, ranks=4)
    return outs


def losses(steps: list[StepMetrics]) -> list[float]:
    return [step.loss for step in steps]


def hashes(steps: list[StepMetrics]) -> list[str]:
    return [step.batch_hash for step in steps]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("layout", list(LAYOUTS)[1:])
def test_every_layout_gives_the_losses_of_one_rank(runs: Runs, kind: str, layout: str) -> None:
    expected, found = read_metrics(runs[kind, "one rank"]), read_metrics(runs[kind, layout])
    assert len(found) == STEPS
    assert losses(found) == pytest.approx(losses(expected), abs=TOLERANCE[kind])


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_loss_falls(runs: Runs, kind: str) -> None:
    steps = losses(read_metrics(runs[kind, "one rank"]))
    assert steps[-1] < 0.95 * steps[0]


@pytest.mark.parametrize(("kind", "first", "second"), sorted(RESUMED))
def test_twenty_steps_equal_ten_and_ten_more_in_another_layout(runs: Runs, kind: str, first: str, second: str) -> None:
    expected, found = read_metrics(runs[kind, first]), read_metrics(runs[kind, first, second])
    assert [step.step for step in found] == list(range(1, STEPS + 1))
    assert losses(found) == pytest.approx(losses(expected), abs=TOLERANCE[kind])
    assert [step.learning_rate for step in found] == [step.learning_rate for step in expected]


def test_every_layout_trains_on_the_same_batches_resumed_or_not(runs: Runs) -> None:
    expected = hashes(read_metrics(runs["sgd", "one rank"]))
    assert len(set(expected)) == STEPS
    for name, out in runs.items():
        assert hashes(read_metrics(out)) == expected, name


def test_the_first_step_has_the_same_loss_and_gradient_in_every_layout(runs: Runs) -> None:
    for kind in ("sgd", "adamw"):
        expected = read_metrics(runs[kind, "one rank"])[0]
        for layout in LAYOUTS:
            first = read_metrics(runs[kind, layout])[0]
            assert first.loss == pytest.approx(expected.loss, abs=1e-6), layout
            assert first.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-5), layout


def test_a_commit_says_which_layout_wrote_it_and_the_newest_two_stay(runs: Runs) -> None:
    folders = committed(runs["adamw", "tensor 2 x pipeline 2"])
    assert [folder.name for folder in folders] == ["step-00000010", "step-00000020"]
    assert read_commit(folders[-1]).layout == "tensor 2 x pipeline 2 x data 1"


@pytest.mark.parametrize(("kind", "layout"), EXPORTED)
def test_the_exported_model_has_the_logits_of_the_checkpoint(runs: Runs, tmp_path: Path, kind: str, layout: str) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install headwater[eval]")
    out = runs[kind, layout]
    export(committed(out)[-1], tmp_path)
    llama = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = llama(torch.tensor(TOKENS)).logits
    assert type(llama).__name__ == "LlamaForCausalLM"
    assert expected.std() > 0.05
    assert (torch.load(out / "logits.pt") - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("kind", "layout"), EXPORTED)
def test_transformers_finds_the_loss_of_the_next_step_in_the_exported_model(runs: Runs, lake: Path, tmp_path: Path, kind: str, layout: str) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install headwater[eval]")
    out = runs[kind, layout]
    export(committed(out)[0], tmp_path)
    llama = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    table = open_tokens(str(lake), None)
    plan = make_plan(DataConfig(sequence_length=32, shuffle_block=16), 8, table)
    tokens = torch.from_numpy(BatchReader(plan, table, rank=0, ranks=1, micro_sequences=8).read(10).sequences[0])
    with torch.no_grad():
        logits = llama(tokens[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), tokens[:, 1:].flatten())
    assert loss.item() == pytest.approx(read_metrics(out)[10].loss, abs=1e-5)
