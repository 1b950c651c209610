"""What the model computes: experts and documents in any layout, packed documents as each alone, and as many weights
as the configuration says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.checkpoints.commit import committed
from training.config import ModelConfig
from training.exchange.export_hf import export
from training.watching.metrics import read_metrics

pytestmark = pytest.mark.distributed

DENSE = {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64, "tied": False}
EXPERTS = {**DENSE, "ffn": 32, "experts": 4, "qk_norm": True, "router_z_loss": 1e-3}
SHARED = {"expert": 2, "tensor": 2, "sequence_parallel": True}
RUNS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, tuple[int, dict[str, Any]]]]] = {
    # name: (optimizer, model, data, layouts: (ranks, parallel))
    "experts": (
        "sgd",
        EXPERTS,
        {},
        {"one rank": (1, {}), "expert 2 x tensor 2": (2, SHARED), "context 2": (2, {"context": 2})},
    ),
    "experts with adamw": (
        "adamw",
        {**EXPERTS, "tied": True},
        {},
        {
            "one rank": (1, {}),
            "expert 2": (2, {"expert": 2}),
            "expert 2, optimizer shared": (2, {"expert": 2, "shard_optimizer": True}),
        },
    ),
    "documents": (
        "sgd",
        DENSE,
        {"document_mask": True},
        {
            "one rank": (1, {}),
            "attention recomputed": (1, {"recompute": "selective"}),
            "pipeline 2": (2, {"pipeline": 2}),
            "context 2": (2, {"context": 2}),
        },
    ),
}
RESUMED = [
    # (run, layout of the first steps, and of the others)
    ("experts with adamw", "expert 2", (1, {})),
    ("experts with adamw", "expert 2, optimizer shared", (1, {"shard_optimizer": True})),
]
CASES = [(run, layout) for run, (_, _, _, layouts) in RUNS.items() for layout in layouts if layout != "one rank"]
COUNTED = {
    "dense": DENSE,
    "tied, wide heads": {**DENSE, "tied": True, "head_width": 16},
    "experts": EXPERTS,
    "qk-norm": {**DENSE, "qk_norm": True, "query_groups": 4},
}
TOKENS = [[(7 * place + 31 * row) % 300 for place in range(32)] for row in range(2)]
TOLERANCE = {"sgd": 1e-6, "adamw": 1e-3}
STEPS = 5


def job(lake: Path, out: Path, run: str, ranks: int, parallel: dict[str, Any]) -> dict[str, Any]:
    kind, model, data, _ = RUNS[run]
    return {
        "lake": str(lake),
        "out": str(out),
        "ranks": ranks,
        "config": {
            "data": {"sequence_length": 32, **data},
            "model": model,
            "parallel": parallel,
            "batch": {"tokens": 256, "micro_sequences": 4},
            "optimizer": {"kind": kind, "learning_rate": 0.2 if kind == "sgd" else 3e-3},
            "schedule": {"warmup_steps": 2},
            "steps": STEPS,
            "checkpoint": {"every": 2, "keep": 9},
            "watch": {"statistics_every": 0, "tensorboard": False},
            "sample": {"lines": 0},
        },
    }


@pytest.fixture(scope="module")
def outs(lake: Path, run_jobs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    jobs = [
        job(lake, folder / run / layout, run, *place)
        for run, (_, _, _, layouts) in RUNS.items()
        for layout, place in layouts.items()
    ]
    for run, layout, place in RESUMED:
        former = {"continues": str(folder / run / layout), "checkpoint": "step-00000002"}
        jobs.append({**job(lake, folder / run / f"after {layout}", run, *place), **former})
    checkpoint = folder / "experts" / "expert 2 x tensor 2" / "checkpoints" / "step-00000005"
    jobs.append({"ranks": 1, "logits_of": str(checkpoint), "tokens": TOKENS, "out": str(folder / "logits.pt")})
    jobs.append({"ranks": 1, "facts_of": COUNTED, "out": str(folder / "facts.json")})
    run_jobs(jobs, ranks=2)
    return folder


def losses(out: Path) -> list[float]:
    return [step.loss for step in read_metrics(out)]


def facts(outs: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((outs / "facts.json").read_text())
    return found


@pytest.mark.parametrize(("run", "layout"), CASES)
def test_every_layout_gives_the_losses_of_one_rank(outs: Path, run: str, layout: str) -> None:
    expected, found = losses(outs / run / "one rank"), losses(outs / run / layout)
    assert len(found) == STEPS
    assert found == pytest.approx(expected, abs=TOLERANCE[RUNS[run][0]])
    assert found[-1] < 0.95 * found[0]
    norms = [read_metrics(outs / run / name)[0].gradient_norm for name in ("one rank", layout)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


@pytest.mark.parametrize(("run", "layout", "_"), RESUMED)
def test_experts_that_were_shared_go_on_in_one_rank(outs: Path, run: str, layout: str, _: Any) -> None:
    assert losses(outs / run / f"after {layout}") == pytest.approx(
        losses(outs / run / layout), abs=TOLERANCE[RUNS[run][0]]
    )


@pytest.mark.parametrize("name", COUNTED)
def test_packed_documents_have_the_logits_of_each_alone(outs: Path, name: str) -> None:
    found = facts(outs)[name]
    assert found["apart"] < 1e-5
    assert found["joined"] > 1e-3


@pytest.mark.parametrize("name", COUNTED)
def test_a_model_has_as_many_weights_as_its_configuration_says(outs: Path, name: str) -> None:
    assert facts(outs)[name]["weights"] == ModelConfig(**COUNTED[name]).parameters(300)


@pytest.mark.parametrize("name", COUNTED)
def test_neither_norms_nor_embeddings_decay_but_where_it_is_asked_for(outs: Path, name: str) -> None:
    found, config = facts(outs)[name], ModelConfig(**COUNTED[name])
    norms = config.hidden + config.layers * (2 * config.hidden + (2 * config.head if config.qk_norm else 0))
    assert found["norms"] == norms
    # An untied output layer is no embedding.
    assert found["without decay"] == norms + config.padded_vocabulary(300) * config.hidden


def test_kernels_that_this_machine_does_not_have_are_refused(outs: Path) -> None:
    missing = "needs a GPU and the package transformer_engine, which this machine does not have"
    assert (facts(outs)["kernels"], facts(outs)["fp8"]) == (
        f"model.kernels: transformer_engine: {missing}",
        f"model.fp8: {missing}",
    )


def test_exported_experts_have_the_logits_of_the_checkpoint(outs: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install headwater[eval]"
    )
    export(committed(outs / "experts" / "expert 2 x tensor 2")[-1], tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(torch.tensor(TOKENS)).logits
    assert type(model).__name__ == "Qwen3MoeForCausalLM"
    assert (torch.load(outs / "logits.pt") - expected).abs().max() < 1e-4
