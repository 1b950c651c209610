"""The layouts of transformers, there and back, without megatron-core and without transformers."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from schemas.plumbing.errors import UsageError
from training.config import ModelConfig
from training.exchange import hf_layout
from training.exchange.hf_layout import from_layout, layout_config, layout_of, model_settings, stored_names, to_layout
from training.exchange.hf_positions import position_settings

SCALED = {"factor": 32.0, "low_frequency_factor": 1.5, "high_frequency_factor": 3.0, "original_length": 4096}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {"qk_norm": True, "tied": False, "head_width": 16, "rope_base": 5e5, "rope_scaling": SCALED},
    "mixtral": {"experts": 4},
    "qwen3_moe": {"experts": 4, "qk_norm": True, "router_normalised": False},
}
ROWS, TOKENS = 384, 300


def model(kind: str) -> ModelConfig:
    return ModelConfig(layers=2, hidden=32, heads=4, query_groups=2, ffn=48, **MODELS[kind])


def stored(config: ModelConfig) -> dict[str, torch.Tensor]:
    """Weights as a checkpoint has them."""
    layers, hidden, ffn, experts, head = config.layers, config.hidden, config.ffn, config.experts, config.head
    shapes: dict[str, tuple[int, ...]] = {
        hf_layout.EMBEDDING: (ROWS, hidden),
        hf_layout.OUTPUT: (ROWS, hidden),
        hf_layout.FINAL_NORM: (hidden,),
        hf_layout.QKV: (layers, head * (config.heads + 2 * config.query_groups), hidden),
        hf_layout.LAYER + "self_attention.linear_proj.weight": (layers, hidden, head * config.heads),
        hf_layout.GATE_UP: (layers, 2 * ffn, hidden),
        hf_layout.DOWN: (layers, hidden, ffn),
        hf_layout.ROUTER: (layers, experts, hidden),
        hf_layout.EXPERTS_GATE_UP: (layers, experts, 2 * ffn, hidden),
        hf_layout.EXPERTS_DOWN: (layers, experts, hidden, ffn),
        **dict.fromkeys(hf_layout.QK_NORM, (layers, head)),
    }
    return {name: torch.randn(shapes.get(name, (layers, hidden))) for name in sorted(stored_names(config))}


@pytest.mark.parametrize("kind", MODELS)
def test_every_weight_comes_back_bit_by_bit(kind: str) -> None:
    config = model(kind)
    weights = stored(config)
    there = dict(to_layout(weights, config))
    assert layout_of(config).model_type == kind
    for name, whole in weights.items():
        stacked = 0 if name in hf_layout.OUTER else 2 if ".experts." in name else 1
        for place in itertools.product(*(range(size) for size in whole.shape[:stacked])):
            assert torch.equal(from_layout(there.__getitem__, config, name, place, ROWS), whole[place]), (name, place)


@pytest.mark.parametrize("kind", MODELS)
def test_the_count_of_parameters_is_that_of_the_weights(kind: str) -> None:
    config = model(kind)
    assert config.parameters(TOKENS) == sum(weight.numel() for weight in stored(config).values())


def test_active_parameters_leave_out_the_experts_that_a_token_does_not_choose() -> None:
    config = model("mixtral")
    idle = config.layers * (config.experts - config.experts_per_token) * 3 * config.hidden * config.ffn
    assert config.active_parameters(TOKENS) == config.parameters(TOKENS) - idle
    assert model("llama").active_parameters(TOKENS) == model("llama").parameters(TOKENS)


@pytest.mark.parametrize("kind", MODELS)
def test_config_json_says_all_that_the_model_is(kind: str) -> None:
    config = model(kind)
    values = layout_config(config, rows=ROWS, sequence_length=64, end_of_document_id=0, dtype="float32")
    assert ModelConfig(**model_settings(values, TOKENS, "config.json")) == config


SPELLINGS: dict[str, dict[str, Any]] = {
    # of Llama 3.2
    "older": {
        "rope_theta": 5e5,
        "rope_scaling": {
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
    },
    "newer": {
        "rope_parameters": {
            "rope_theta": 5e5,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
    },
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_scaled_positions_are_read_as_older_and_newer_files_spell_them(spelling: str) -> None:
    assert position_settings({"max_position_embeddings": 131072, **SPELLINGS[spelling]}, "c.json") == {
        "rope_base": 5e5,
        "rope_scaling": {
            "factor": 32.0,
            "low_frequency_factor": 1.0,
            "high_frequency_factor": 4.0,
            "original_length": 8192,
        },
    }


def test_a_file_that_does_not_say_has_the_positions_that_transformers_takes() -> None:
    assert position_settings({"model_type": "llama"}, "c.json") == {"rope_base": 10_000.0, "rope_scaling": None}
    assert position_settings({"model_type": "mixtral"}, "c.json") == {"rope_base": 1_000_000.0, "rope_scaling": None}


@pytest.mark.parametrize(("trained", "positions"), [(2048, 131072), (262144, 262144)])
def test_a_model_with_scaled_positions_has_the_length_that_they_reach(trained: int, positions: int) -> None:
    values = layout_config(model("qwen3"), rows=ROWS, sequence_length=trained, end_of_document_id=0, dtype="float32")
    assert values["max_position_embeddings"] == positions


@pytest.mark.parametrize(
    ("rows", "tokens", "multiple"),
    [(384, 300, 128), (32_000, 32_000, 128), (50_257, 50_257, 1), (50_304, 50_257, 128), (152, 130, 8)],
)
def test_the_vocabulary_is_padded_to_no_more_rows_than_there_are(rows: int, tokens: int, multiple: int) -> None:
    values = layout_config(model("llama"), rows=rows, sequence_length=64, end_of_document_id=0, dtype="float32")
    config = ModelConfig(**model_settings(values, tokens, "config.json"))
    assert config.vocabulary_multiple == multiple
    assert tokens <= config.padded_vocabulary(tokens) <= rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "c.json: model_type is gpt2; known are llama, qwen3, mixtral, qwen3_moe"),
        ({"attention_bias": True}, "c.json: attention_bias is True, which this trainer's models do not have"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
            "c.json: rope_type is yarn; this trainer's models have default and llama3",
        ),
        (
            {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
            "c.json: rope_type is dynamic; this trainer's models have default and llama3",
        ),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "c.json: rope_type is llama3, without low_freq_factor, high_freq_factor",
        ),
        (
            {"partial_rotary_factor": 0.5},
            "c.json: partial_rotary_factor is 0.5, which this trainer's models do not have",
        ),
        ({"vocab_size": 200}, "c.json: vocab_size is 200, and the tokenizer of the lake has 300 tokens"),
    ],
)
def test_a_model_that_cannot_be_expressed_is_refused(change: dict[str, Any], message: str) -> None:
    values = layout_config(model("llama"), rows=ROWS, sequence_length=64, end_of_document_id=0, dtype="float32")
    with pytest.raises(UsageError, match=message):
        model_settings({**values, **change}, TOKENS, "c.json")


def test_a_router_that_no_layout_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"model.router_normalised: Mixtral's layout"):
        layout_of(ModelConfig(experts=4, router_normalised=False))
