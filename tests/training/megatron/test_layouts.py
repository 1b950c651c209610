"""The same training, whatever the layout: losses, batches, and resuming in another layout. Real gloo ranks, up to
four."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.checkpoints.commit import committed, read_commit
from training.config import TrainingConfig
from training.exchange.export_hf import export
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import open_tokens
from training.reading.loader import BatchReader
from training.watching.metrics import StepMetrics, read_metrics

pytestmark = pytest.mark.distributed

LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {
    # name: (ranks, parallel)
    "one rank": (1, {}),
    "one rank, optimizer shared": (1, {"shard_optimizer": True}),
    "layers recomputed": (1, {"recompute": "full"}),
    "tensor 2 with sequence parallelism": (2, {"tensor": 2, "sequence_parallel": True}),
    "pipeline 2 x virtual 2": (2, {"pipeline": 2, "virtual_stages": 2}),
    "data 2": (2, {}),
    "data 2, optimizer shared": (2, {"shard_optimizer": True}),
    "context 2": (2, {"context": 2}),
    "context 2 x data 2, optimizer shared": (4, {"context": 2, "shard_optimizer": True}),
    "tensor 2 x pipeline 2 with sequence parallelism": (4, {"tensor": 2, "pipeline": 2, "sequence_parallel": True}),
}
DENSE = {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64, "tied": False}
RUNS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    # name: (optimizer, model, layouts besides one rank)
    "dense": (
        "sgd",
        DENSE,
        [
            "layers recomputed",
            "tensor 2 with sequence parallelism",
            "data 2",
            "context 2",
            "tensor 2 x pipeline 2 with sequence parallelism",
        ],
    ),
    "tied": (
        "adamw",
        {**DENSE, "layers": 4, "tied": True},
        ["pipeline 2 x virtual 2", "data 2, optimizer shared", "context 2 x data 2, optimizer shared"],
    ),
}
RESUMED = [
    # (run, layout of the first steps, layout of the others)
    ("dense", "tensor 2 with sequence parallelism", "context 2"),
    ("tied", "pipeline 2 x virtual 2", "tensor 2 x pipeline 2 with sequence parallelism"),
    ("tied", "context 2 x data 2, optimizer shared", "one rank, optimizer shared"),
]
EXPORTED = {
    ("dense", "tensor 2 x pipeline 2 with sequence parallelism"): "LlamaForCausalLM",
    ("tied", "pipeline 2 x virtual 2"): "LlamaForCausalLM",
}
TOKENS = [[(7 * place + 31 * row) % 300 for place in range(32)] for row in range(2)]
TOLERANCE = {"sgd": 1e-6, "adamw": 1e-3}
STEPS = 5
Name = tuple[str, ...]
Runs = dict[Name, Path]
CASES = [(run, layout) for run, (_, _, layouts) in RUNS.items() for layout in layouts]


def job(lake: Path, out: Path, run: str, layout: str) -> dict[str, Any]:
    kind, model, _ = RUNS[run]
    ranks, parallel = LAYOUTS[layout]
    return {
        "lake": str(lake),
        "out": str(out),
        "ranks": ranks,
        "config": {
            "data": {"sequence_length": 32},
            "model": model,
            "parallel": parallel,
            # A pipeline gets four micro-batches: with two of them, messages that are taken for each other can come out
            # right.
            "batch": {"tokens": 256, "micro_sequences": 2 if "pipeline" in parallel else 4},
            "optimizer": {"kind": kind, "learning_rate": 0.2 if kind == "sgd" else 3e-3},
            "schedule": {"warmup_steps": 2},
            "steps": STEPS,
            "checkpoint": {"every": 2, "keep": 9},
            "watch": {"statistics_every": 0, "tensorboard": False},
            "sample": {"lines": 0},
        },
    }


@pytest.fixture(scope="module")
def runs(lake: Path, run_jobs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("layouts")
    jobs, outs = [], {}
    for run, layout in [(run, "one rank") for run in RUNS] + CASES:
        outs[run, layout] = folder / f"{len(outs)}"
        jobs.append(job(lake, outs[run, layout], run, layout))
    for run, first, second in RESUMED:
        outs[run, first, second] = folder / f"{len(outs)}"
        jobs.append(
            {
                **job(lake, outs[run, first, second], run, second),
                "continues": str(outs[run, first]),
                "checkpoint": "step-00000002",
            }
        )
    for name in EXPORTED:
        checkpoint = outs[name] / "checkpoints" / "step-00000005"
        jobs.append({"ranks": 1, "logits_of": str(checkpoint), "tokens": TOKENS, "out": str(outs[name] / "logits.pt")})
    run_jobs(jobs, ranks=4)
    return outs


def losses(steps: list[StepMetrics]) -> list[float]:
    return [step.loss for step in steps]


def hashes(steps: list[StepMetrics]) -> list[str]:
    return [step.batch_hash for step in steps]


@pytest.mark.parametrize(("run", "layout"), CASES)
def test_every_layout_gives_the_losses_of_one_rank(runs: Runs, run: str, layout: str) -> None:
    expected, found = read_metrics(runs[run, "one rank"]), read_metrics(runs[run, layout])
    assert len(found) == STEPS
    assert losses(found) == pytest.approx(losses(expected), abs=TOLERANCE[RUNS[run][0]])


@pytest.mark.parametrize("run", RUNS)
def test_the_loss_falls(runs: Runs, run: str) -> None:
    steps = losses(read_metrics(runs[run, "one rank"]))
    assert steps[-1] < 0.95 * steps[0]


@pytest.mark.parametrize(("run", "first", "second"), RESUMED)
def test_five_steps_equal_two_and_three_more_in_another_layout(runs: Runs, run: str, first: str, second: str) -> None:
    expected, found = read_metrics(runs[run, first]), read_metrics(runs[run, first, second])
    assert [step.step for step in found] == list(range(1, STEPS + 1))
    assert losses(found) == pytest.approx(losses(expected), abs=TOLERANCE[RUNS[run][0]])
    assert [step.learning_rate for step in found] == [step.learning_rate for step in expected]


def test_every_layout_trains_on_the_same_batches_resumed_or_not(runs: Runs) -> None:
    for run in RUNS:
        expected = hashes(read_metrics(runs[run, "one rank"]))
        assert len(set(expected)) == STEPS
        for name, out in runs.items():
            if name[0] == run:
                assert hashes(read_metrics(out)) == expected, name


@pytest.mark.parametrize(("run", "layout"), CASES)
def test_the_first_step_has_the_same_loss_and_gradient_in_every_layout(runs: Runs, run: str, layout: str) -> None:
    expected, first = read_metrics(runs[run, "one rank"])[0], read_metrics(runs[run, layout])[0]
    assert first.loss == pytest.approx(expected.loss, abs=1e-6)
    assert first.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-5)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("pipeline 2 x virtual 2", "tensor 1 x pipeline 2 x data 1"),
        ("context 2 x data 2, optimizer shared", "tensor 1 x pipeline 1 x context 2 x data 2"),
    ],
)
def test_a_commit_says_which_layout_wrote_it(runs: Runs, layout: str, words: str) -> None:
    folders = committed(runs["tied", layout])
    assert [folder.name for folder in folders] == ["step-00000002", "step-00000004", "step-00000005"]
    assert read_commit(folders[-1]).layout == words


@pytest.mark.parametrize(("run", "layout"), EXPORTED)
def test_the_exported_model_has_the_logits_of_the_checkpoint(runs: Runs, tmp_path: Path, run: str, layout: str) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install headwater[eval]"
    )
    out = runs[run, layout]
    export(committed(out)[-1], tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(torch.tensor(TOKENS)).logits
    assert type(model).__name__ == EXPORTED[run, layout]
    assert expected.std() > 0.05
    assert (torch.load(out / "logits.pt") - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("run", "layout"), EXPORTED)
def test_transformers_finds_the_loss_of_the_next_step_in_the_exported_model(
    runs: Runs, lake: Path, tmp_path: Path, run: str, layout: str
) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install headwater[eval]"
    )
    out = runs[run, layout]
    export(committed(out)[0], tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    table = open_tokens(str(lake), None)
    plan = make_plan(TrainingConfig.model_validate(job(lake, out, run, layout)["config"]), table)
    batch = BatchReader(plan, table, rank=0, ranks=1).read(2)
    with torch.no_grad():
        logits = model(torch.from_numpy(batch.tokens).flatten(0, 1)).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), torch.from_numpy(batch.targets).flatten())
    assert loss.item() == pytest.approx(read_metrics(out)[2].loss, abs=1e-5)
