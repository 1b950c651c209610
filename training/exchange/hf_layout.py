"""Where each weight is in a Hugging Face folder, and the other way: the layouts of Llama, Qwen3, Mixtral and
Qwen3-MoE, in both directions.

megatron-core's names are those of a checkpoint, where layers, and experts in them, are stacked along first axes. It
keeps the queries, key and value of each key group in one matrix, and gate and up in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from schemas.plumbing.errors import UsageError
from training.config import ModelConfig
from training.exchange.hf_positions import position_settings, position_values

EMBEDDING = "embedding.word_embeddings.weight"
OUTPUT = "output_layer.weight"
FINAL_NORM = "decoder.final_layernorm.weight"
LAYER = "decoder.layers."
QKV = LAYER + "self_attention.linear_qkv.weight"
GATE_UP = LAYER + "mlp.linear_fc1.weight"
DOWN = LAYER + "mlp.linear_fc2.weight"
EXPERTS_GATE_UP = LAYER + "mlp.experts.experts.linear_fc1.weight"
EXPERTS_DOWN = LAYER + "mlp.experts.experts.linear_fc2.weight"
ROUTER = LAYER + "mlp.router.weight"
OUTER = {EMBEDDING: "model.embed_tokens.weight", FINAL_NORM: "model.norm.weight", OUTPUT: "lm_head.weight"}
ATTENTION = {
    LAYER + "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    LAYER + "self_attention.linear_proj.weight": "self_attn.o_proj.weight",
}
QK_NORM = {
    LAYER + "self_attention.q_layernorm.weight": "self_attn.q_norm.weight",
    LAYER + "self_attention.k_layernorm.weight": "self_attn.k_norm.weight",
}
DENSE = {LAYER + "mlp.linear_fc1.layer_norm_weight": "post_attention_layernorm.weight", DOWN: "mlp.down_proj.weight"}
MIXED_NORM = {LAYER + "pre_mlp_layernorm.weight": "post_attention_layernorm.weight"}

type Weights = Callable[[str], torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """What transformers calls a model. `router`, and `gate`, `up` and `down` of an expert or of the only
    feed-forward layer, are names in a layer."""

    model_type: str
    architecture: str
    gate: str = "mlp.gate_proj.weight"
    up: str = "mlp.up_proj.weight"
    down: str = "mlp.down_proj.weight"
    router: str | None = None


LAYOUTS = {
    # (qk-norm, experts)
    (False, False): Layout("llama", "LlamaForCausalLM"),
    (True, False): Layout("qwen3", "Qwen3ForCausalLM"),
    (False, True): Layout(
        "mixtral",
        "MixtralForCausalLM",
        gate="block_sparse_moe.experts.{expert}.w1.weight",
        up="block_sparse_moe.experts.{expert}.w3.weight",
        down="block_sparse_moe.experts.{expert}.w2.weight",
        router="block_sparse_moe.gate.weight",
    ),
    (True, True): Layout(
        "qwen3_moe",
        "Qwen3MoeForCausalLM",
        gate="mlp.experts.{expert}.gate_proj.weight",
        up="mlp.experts.{expert}.up_proj.weight",
        down="mlp.experts.{expert}.down_proj.weight",
        router="mlp.gate.weight",
    ),
}


def layout_of(config: ModelConfig) -> Layout:
    """The layout that computes what the model does; `UsageError` where none does."""
    if config.experts and not config.qk_norm and not config.router_normalised:
        raise UsageError(
            "model.router_normalised: Mixtral's layout, which a model with experts and without qk_norm is written in, "
            "has no other router"
        )
    return LAYOUTS[config.qk_norm, config.experts > 0]


def stored_names(config: ModelConfig) -> set[str]:
    """Names in a checkpoint of all weights of the model."""
    names = (
        {EMBEDDING, FINAL_NORM, QKV, *ATTENTION}
        | (set() if config.tied else {OUTPUT})
        | (set(QK_NORM) if config.qk_norm else set())
    )
    return names | ({ROUTER, EXPERTS_GATE_UP, EXPERTS_DOWN, *MIXED_NORM} if config.experts else {GATE_UP, *DENSE})


def to_layout(weights: Mapping[str, torch.Tensor], config: ModelConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights of a checkpoint, whole, by their names in the layout; each has memory of its own."""
    layout = layout_of(config)
    for name, outer in OUTER.items():
        if name in weights:
            yield outer, weights[name].clone()
    for layer in range(config.layers):
        prefix = f"model.layers.{layer}."
        for name, inner in _same_shape(config).items():
            yield prefix + inner, weights[name][layer].clone()
        queries, head = config.heads // config.query_groups, config.head
        grouped = weights[QKV][layer].view(config.query_groups, (queries + 2) * head, config.hidden)
        for letter, part in zip("qkv", grouped.split([queries * head, head, head], dim=1), strict=True):
            yield f"{prefix}self_attn.{letter}_proj.weight", part.reshape(-1, config.hidden).clone()
        if layout.router is None:
            for inner, half in zip((layout.gate, layout.up), weights[GATE_UP][layer].chunk(2), strict=True):
                yield prefix + inner, half.clone()
            continue
        yield prefix + layout.router, weights[ROUTER][layer].clone()
        for expert in range(config.experts):
            for inner, half in zip(
                (layout.gate, layout.up), weights[EXPERTS_GATE_UP][layer, expert].chunk(2), strict=True
            ):
                yield prefix + inner.format(expert=expert), half.clone()
            yield prefix + layout.down.format(expert=expert), weights[EXPERTS_DOWN][layer, expert].clone()


def from_layout(weights: Weights, config: ModelConfig, name: str, place: tuple[int, ...], rows: int) -> torch.Tensor:
    """One weight of a checkpoint, the one of layer `place[0]` and expert `place[1]` where it has these; `weights`
    gives what a layout's name stands for.

    `rows` are those of the padded vocabulary.
    """
    layout = layout_of(config)
    if name in OUTER:
        whole = weights(OUTER[name])
        return whole[:rows] if name in (EMBEDDING, OUTPUT) else whole
    prefix = f"model.layers.{place[0]}."
    if name in (same := _same_shape(config)):
        return weights(prefix + same[name])
    if name == QKV:
        parts = [
            weights(f"{prefix}self_attn.{letter}_proj.weight").view(config.query_groups, -1, config.hidden)
            for letter in "qkv"
        ]
        return torch.cat(parts, dim=1).reshape(-1, config.hidden)
    if name == ROUTER and layout.router is not None:
        return weights(prefix + layout.router)
    expert = place[1] if len(place) > 1 else None
    if name in (GATE_UP, EXPERTS_GATE_UP):
        return torch.cat([weights(prefix + inner.format(expert=expert)) for inner in (layout.gate, layout.up)])
    if name == EXPERTS_DOWN:
        return weights(prefix + layout.down.format(expert=expert))
    raise KeyError(name)


def layout_config(
    config: ModelConfig, *, rows: int, sequence_length: int, end_of_document_id: int, dtype: str
) -> dict[str, Any]:
    """config.json of transformers, with both the older and the newer name of keys that were renamed. `rows` are
    those of the padded vocabulary."""
    layout = layout_of(config)
    values: dict[str, Any] = {
        "architectures": [layout.architecture],
        "model_type": layout.model_type,
        "vocab_size": rows,
        "hidden_size": config.hidden,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.query_groups,
        "head_dim": config.head,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        **position_values(config, sequence_length),
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": config.initial_deviation,
        "tie_word_embeddings": config.tied,
        "bos_token_id": end_of_document_id,
        "eos_token_id": end_of_document_id,
        "torch_dtype": dtype,
        "dtype": dtype,
        "use_cache": True,
    }
    if layout.model_type == "llama":
        values["mlp_bias"] = False
    else:
        values["sliding_window"] = None
    if config.experts:
        experts = {
            "num_experts_per_tok": config.experts_per_token,
            "router_aux_loss_coef": config.balance_loss,
            "output_router_logits": False,
        }
        if layout.model_type == "mixtral":
            values |= {**experts, "num_local_experts": config.experts}
        else:
            mixed = {
                "moe_intermediate_size": config.ffn,
                "norm_topk_prob": config.router_normalised,
                "decoder_sparse_step": 1,
                "mlp_only_layers": [],
            }
            values |= {**experts, **mixed, "num_experts": config.experts}
    return values


def model_settings(values: Mapping[str, Any], vocabulary_size: int, where: str) -> dict[str, Any]:
    """The keys of `ModelConfig` that give the model of a config.json; `UsageError` names what of it cannot be
    expressed."""
    kind = values.get("model_type")
    names = {layout.model_type: form for form, layout in LAYOUTS.items()}
    if kind not in names:
        raise UsageError(f"{where}: model_type is {kind}; known are {', '.join(names)}")
    qk_norm, mixed = names[kind]
    other = {
        "hidden_act": values.get("hidden_act", "silu") != "silu",
        "attention_bias": bool(values.get("attention_bias")),
        "mlp_bias": bool(values.get("mlp_bias")),
        "sliding_window": bool(values.get("sliding_window")) and values.get("use_sliding_window", True),
        "mlp_only_layers": bool(values.get("mlp_only_layers")) or values.get("decoder_sparse_step", 1) != 1,
    }
    for key, found in other.items():
        if found:
            raise UsageError(f"{where}: {key} is {values.get(key)}, which this trainer's models do not have")
    heads, rows = int(values["num_attention_heads"]), int(values["vocab_size"])
    if vocabulary_size > rows:
        raise UsageError(f"{where}: vocab_size is {rows}, and the tokenizer of the lake has {vocabulary_size} tokens")
    head = values.get("head_dim") or int(values["hidden_size"]) // heads
    settings = {
        "layers": values["num_hidden_layers"],
        "hidden": values["hidden_size"],
        "heads": heads,
        "query_groups": values.get("num_key_value_heads") or heads,
        "head_width": None if head * heads == values["hidden_size"] else head,
        "ffn": values["moe_intermediate_size" if kind == "qwen3_moe" else "intermediate_size"],
        "qk_norm": qk_norm,
        **position_settings(values, where),
        "norm_epsilon": values.get("rms_norm_eps", 1e-6),
        "tied": bool(values.get("tie_word_embeddings", False)),
        "initial_deviation": values.get("initializer_range", 0.02),
        "vocabulary_multiple": _multiple(rows, vocabulary_size),
    }
    if mixed:
        settings |= {
            "experts": values.get("num_experts") or values["num_local_experts"],
            "experts_per_token": values["num_experts_per_tok"],
            "router_normalised": bool(values.get("norm_topk_prob", False)) if kind == "qwen3_moe" else True,
        }
    return settings


def _same_shape(config: ModelConfig) -> dict[str, str]:
    return {**ATTENTION, **(QK_NORM if config.qk_norm else {}), **(MIXED_NORM if config.experts else DENSE)}


def _multiple(rows: int, vocabulary_size: int) -> int:
    """A multiple that pads the tokens to no more rows than there are, and if it can to just as many: what is left
    over has no token."""
    fitting = [multiple for multiple in (128, 64, 32, 16, 8, 4, 2, 1) if rows % multiple == 0]
    return next((multiple for multiple in fitting if -(-vocabulary_size // multiple) * multiple == rows), fitting[0])
