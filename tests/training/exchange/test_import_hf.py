"""Models of transformers as the beginning of a run: their logits, round trips, and training that goes on from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from training.checkpoints.commit import committed, read_commit
from training.config import load_recipe
from training.exchange.export_hf import export
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import open_tokens
from training.reading.loader import BatchReader
from training.watching.metrics import read_metrics

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install headwater[eval]")
pytestmark = pytest.mark.distributed

SIZES = {
    "vocab_size": 330,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rope_theta": 5000.0,
    "initializer_range": 0.1,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SCALED = {
    # Of the sixteen frequencies one stays, one is on the ramp, and the others are slowed; the tokens below are twice
    # the original length.
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 2.0,
    "original_max_position_embeddings": 16,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    # name: (class, what differs)
    "llama": ("LlamaForCausalLM", {"tie_word_embeddings": False}),
    "llama, tied, 16 bits": ("LlamaForCausalLM", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "llama, tied, scaled positions": (
        "LlamaForCausalLM",
        {"tie_word_embeddings": True, "head_dim": 32, "rope_parameters": SCALED},
    ),
    "qwen3": ("Qwen3ForCausalLM", {"tie_word_embeddings": True, "head_dim": 16}),
    "mixtral": ("MixtralForCausalLM", {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}),
    "qwen3-moe": (
        "Qwen3MoeForCausalLM",
        {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 24,
            "norm_topk_prob": False,
            "head_dim": 8,
        },
    ),
}
CONTINUED = {
    # name: (ranks, settings of the import, settings of the run)
    "llama": (2, (), ("parallel.tensor=2",)),
    "mixtral": (2, (), ("parallel.expert=2",)),
    "llama, tied, 16 bits": (2, ("precision=bf16", "parallel.shard_optimizer=true"), ()),
}
SETTINGS = [
    "data.sequence_length=32",
    "batch.tokens=256",
    "batch.micro_sequences=2",
    "steps=3",
    "checkpoint.every=3",
    "sample.lines=0",
    "schedule.warmup_steps=1",
]
ROUND_TRIPS = 2
"""Exports that are imported again, after the first import."""

TOKENS = [[(7 * place + 31 * row) % 300 for place in range(32)] for row in range(2)]


def foreign(name: str, folder: Path, tokenizer: Tokenizer) -> Path:
    """A model of transformers with random weights, norms included."""
    kind, changes = MODELS[name]
    torch.manual_seed(len(name))
    model_class = getattr(transformers, kind)
    model = model_class(model_class.config_class(**{**SIZES, **changes}))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.uniform_(0.5, 1.5)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def source_model(runs: Path, name: str) -> torch.nn.Module:
    """The model of transformers, in fp32, with its weights rounded where the run keeps them in 16 bits."""
    model = transformers.AutoModelForCausalLM.from_pretrained(runs / name / "source", dtype=torch.float32)
    if name.endswith("16 bits"):
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.bfloat16())
    return model


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor(TOKENS)).logits


@pytest.fixture(scope="module")
def runs(
    lake: Path,
    tokenizer: Tokenizer,
    tokenizer_of: Callable[..., Tokenizer],
    run_jobs: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    base = tmp_path_factory.mktemp("imported")
    jobs: list[dict[str, Any]] = []
    for name in MODELS:
        out = base / name / "run"
        ranks, imported, continued = CONTINUED.get(name, (1, (), ()))
        settings = [*SETTINGS, *imported]
        source = foreign(name, base / name / "source", tokenizer)
        jobs.append({"ranks": 1, "import": str(source), "settings": settings, "lake": str(lake), "out": str(out)})
        jobs.append(
            {
                "ranks": 1,
                "logits_of": str(out / "checkpoints" / "step-00000000"),
                "tokens": TOKENS,
                "out": str(base / name / "logits.pt"),
            }
        )
        for trip in range(ROUND_TRIPS):
            start = out if trip == 0 else base / name / f"run {trip}"
            folder = base / name / f"export {trip}"
            jobs.append({"ranks": 1, "export": str(start / "checkpoints" / "step-00000000"), "out": str(folder)})
            jobs.append(
                {
                    "ranks": 1,
                    "import": str(folder),
                    "settings": settings,
                    "lake": str(lake),
                    "out": str(base / name / f"run {trip + 1}"),
                }
            )
        if name in CONTINUED:
            jobs.append(
                {
                    "ranks": ranks,
                    "recipe": str(out / "recipe.yaml"),
                    "settings": list(continued),
                    "lake": str(lake),
                    "out": str(out),
                }
            )
    again = {"ranks": 1, "import": str(base / "llama" / "source"), "settings": SETTINGS, "lake": str(lake)}
    jobs.append({**again, "out": str(base / "llama" / "run"), "refused": str(base / "has-a-run.txt")})
    other = base / "other-tokenizer"
    foreign("llama", other, tokenizer_of(["Quite other words than those of rivers and mills."] * 9, 300))
    jobs.append({**again, "import": str(other), "out": str(base / "nothing"), "refused": str(base / "tokenizer.txt")})
    run_jobs(jobs, ranks=2)
    return base


@pytest.mark.parametrize("name", MODELS)
def test_an_imported_model_has_the_logits_of_transformers(runs: Path, name: str) -> None:
    expected, found = logits(source_model(runs, name)), torch.load(runs / name / "logits.pt")
    rows = min(expected.shape[-1], found.shape[-1])
    assert expected.std() > 0.05
    assert (found[..., :rows] - expected[..., :rows]).abs().max() < 1e-4


def test_scaled_positions_make_a_difference(runs: Path) -> None:
    model = source_model(runs, "llama, tied, scaled positions")
    unscaled = type(model)(
        type(model.config)(
            **{**model.config.to_dict(), "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}}
        )
    )
    unscaled.load_state_dict(model.state_dict())
    assert (logits(model) - logits(unscaled)).abs().max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_what_is_exported_after_an_import_is_what_was_imported(runs: Path, tmp_path: Path, name: str) -> None:
    export(runs / name / "run" / "checkpoints" / "step-00000000", tmp_path)
    there, back = load_file(runs / name / "source" / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert sorted(there) == sorted(back)
    for weight, tensor in back.items():
        # One run keeps its weights in 16 bits.
        assert torch.equal(tensor, there[weight][: len(tensor)].to(tensor.dtype)), weight


@pytest.mark.parametrize("name", MODELS)
def test_several_round_trips_change_no_bit(runs: Path, tmp_path: Path, name: str) -> None:
    export(runs / name / f"run {ROUND_TRIPS}" / "checkpoints" / "step-00000000", tmp_path)
    for file in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (tmp_path / file).read_bytes() == (runs / name / "export 0" / file).read_bytes(), file


@pytest.mark.parametrize("name", CONTINUED)
def test_training_goes_on_from_an_imported_model_in_any_layout(runs: Path, lake: Path, name: str) -> None:
    out = runs / name / "run"
    steps = read_metrics(out)
    assert [step.step for step in steps] == [1, 2, 3]
    assert [read_commit(folder).step for folder in committed(out)] == [0, 3]
    table = open_tokens(str(lake), None)
    batch = BatchReader(make_plan(load_recipe(str(out / "recipe.yaml")), table), table, rank=0, ranks=1).read(0)
    model = source_model(runs, name)
    with torch.no_grad():
        found = model(torch.from_numpy(batch.tokens).flatten(0, 1)).logits[..., :320]
    loss = torch.nn.functional.cross_entropy(found.flatten(0, 1).double(), torch.from_numpy(batch.targets).flatten())
    assert steps[0].loss == pytest.approx(
        loss.item(), abs=1e-5 if not name.endswith("16 bits") else 0.02
    )  # activations of 16 bits
    assert steps[2].loss < steps[0].loss


def test_a_folder_with_a_run_and_tokens_of_another_tokenizer_are_refused(runs: Path) -> None:
    assert (runs / "has-a-run.txt").read_text().endswith("run: has a run already; choose another --out")
    assert "its model is not that of the tokenizer" in (runs / "tokenizer.txt").read_text()
    assert not (runs / "nothing").exists()


def test_the_recipe_of_an_import_has_the_model_of_the_folder(runs: Path) -> None:
    config, values = (
        load_recipe(str(runs / "mixtral" / "run" / "recipe.yaml")),
        json.loads((runs / "mixtral" / "source" / "config.json").read_text()),
    )
    assert (config.model.experts, config.model.ffn, config.model.rope_base) == (4, values["intermediate_size"], 5000.0)
    assert (config.batch.tokens, config.steps) == (256, 3)
