"""A checkpoint as a Hugging Face folder in Llama's form, from any layout, with neither megatron-core nor transformers.

The shards are in torch's distributed checkpoint format, which puts them together by name: layers are stacked along a first axis.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as sharded
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from training.commit import TOKENIZER, Commit, read_commit
from training.config import ModelConfig, TrainingConfig

EMBEDDING = "embedding.word_embeddings.weight"
OUTPUT = "output_layer.weight"
FINAL_NORM = "decoder.final_layernorm.weight"
LAYER = "decoder.layers."
QKV = LAYER + "self_attention.linear_qkv.weight"
GATE_UP = LAYER + "mlp.linear_fc1.weight"
SAME_SHAPE = {
    LAYER + "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    LAYER + "mlp.linear_fc1.layer_norm_weight": "post_attention_layernorm.weight",
    LAYER + "self_attention.linear_proj.weight": "self_attn.o_proj.weight",
    LAYER + "mlp.linear_fc2.weight": "mlp.down_proj.weight",
}


def export(checkpoint: Path, out: Path) -> Path:
    """Write the committed `checkpoint` to the folder `out`; returns `out`."""
    commit = read_commit(checkpoint)
    config = TrainingConfig.model_validate(commit.config)
    weights = llama_weights(load_whole(checkpoint, config.model), config.model)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    dtype = str(weights["model.norm.weight"].dtype).removeprefix("torch.")
    _write_json(out / "config.json", llama_config(config, commit, dtype))
    _write_json(out / "generation_config.json", {"bos_token_id": commit.end_of_document_id, "eos_token_id": commit.end_of_document_id, "do_sample": True})
    write_tokenizer(checkpoint / TOKENIZER, out, end_of_document_id=commit.end_of_document_id, sequence_length=config.data.sequence_length)
    return out


def load_whole(checkpoint: Path, config: ModelConfig) -> dict[str, torch.Tensor]:
    """The model's weights, whole, by megatron-core's names; layers stacked [layers, ...]. Optimizer state is not read."""
    names = {EMBEDDING, FINAL_NORM, QKV, GATE_UP, *SAME_SHAPE} | (set() if config.tied else {OUTPUT})
    reader = sharded.FileSystemReader(checkpoint)
    stored = reader.read_metadata().state_dict_metadata
    wanted: dict[str, Any] = {}
    for name in names:
        entry = stored.get(name)
        if not isinstance(entry, TensorStorageMetadata):
            raise KeyError(f"{checkpoint}: has no weight {name}")
        wanted[name] = torch.empty(entry.size, dtype=entry.properties.dtype)
    sharded.load(wanted, storage_reader=reader, no_dist=True)
    return wanted


def llama_weights(weights: dict[str, torch.Tensor], config: ModelConfig) -> dict[str, torch.Tensor]:
    """Rename and split: megatron-core keeps, for each key group, its queries, key and value in one matrix, and gate and up in another."""
    head = config.hidden // config.heads
    queries = config.heads // config.query_groups
    result = {"model.embed_tokens.weight": weights[EMBEDDING], "model.norm.weight": weights[FINAL_NORM]}
    if not config.tied:
        result["lm_head.weight"] = weights[OUTPUT]
    for layer in range(config.layers):
        prefix = f"model.layers.{layer}."
        for name, llama_name in SAME_SHAPE.items():
            result[prefix + llama_name] = weights[name][layer]
        grouped = weights[QKV][layer].view(config.query_groups, (queries + 2) * head, config.hidden)
        for llama_name, part in zip("qkv", grouped.split([queries * head, head, head], dim=1), strict=True):
            result[f"{prefix}self_attn.{llama_name}_proj.weight"] = part.reshape(-1, config.hidden)
        gate, up = weights[GATE_UP][layer].chunk(2)
        result[prefix + "mlp.gate_proj.weight"], result[prefix + "mlp.up_proj.weight"] = gate, up
    return {name: tensor.clone().contiguous() for name, tensor in result.items()}


def llama_config(config: TrainingConfig, commit: Commit, dtype: str) -> dict[str, Any]:
    """config.json of transformers' LlamaForCausalLM, with both the older and the newer name of keys that were renamed."""
    model = config.model
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.padded_vocabulary(commit.vocabulary_size),
        "hidden_size": model.hidden,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.query_groups,
        "head_dim": model.hidden // model.heads,
        "hidden_act": "silu",
        "max_position_embeddings": config.data.sequence_length,
        "rms_norm_eps": model.norm_epsilon,
        "rope_theta": model.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_base},
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": model.initial_deviation,
        "tie_word_embeddings": model.tied,
        "bos_token_id": commit.end_of_document_id,
        "eos_token_id": commit.end_of_document_id,
        "torch_dtype": dtype,
        "dtype": dtype,
        "use_cache": True,
    }


def write_tokenizer(definition: Path, out: Path, *, end_of_document_id: int, sequence_length: int) -> None:
    """The tokenizer, of any kind, as `AutoTokenizer` loads it from the folder `out`: its JSON holds all that it does."""
    shutil.copyfile(definition, out / "tokenizer.json")
    end = Tokenizer.from_file(str(out / "tokenizer.json")).id_to_token(end_of_document_id)
    special = {"bos_token": end, "eos_token": end}
    _write_json(out / "special_tokens_map.json", special)
    _write_json(
        out / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": sequence_length, "clean_up_tokenization_spaces": False, **special},
    )


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
