"""The model: megatron-core's GPTModel in Llama's form, made in one place so that a later megatron-core can change it in one place.

GPTModel rather than its successor HybridModel, which in 0.19 does not build without Transformer Engine. The norm and the attention core are
our own, because megatron-core's need Apex or Transformer Engine for sequence parallelism and for speed.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedTensor, apply_factories
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build

from training.config import ModelConfig, ParallelConfig
from training.parallel import Mesh, checkpoint_metadata

RESIDUAL_WRITERS = ("linear_proj.weight", "linear_fc2.weight")
"""Layers whose output is added to the residual stream."""


class RMSNorm(torch.nn.RMSNorm):
    """Root mean square norm (arXiv 1910.07467) whose weight's gradient is summed over the ranks that share the sequence."""

    def __init__(self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype)
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]


class CausalAttention(MegatronModule):
    """softmax(Q K^T scale, causal) V by torch's fused kernel; each rank has its own heads, so there is nothing to exchange."""

    def __init__(self, config: TransformerConfig, layer_number: int, attn_mask_type: Any, attention_type: str, **arguments: Any) -> None:
        super().__init__(config=config)
        self.scale = arguments.get("softmax_scale")

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any = None, **_: Any) -> torch.Tensor:
        """Query [S, B, heads, D], key and value [S, B, groups, D], to [S, B, heads x D]."""
        sequence, batch = query.shape[:2]
        q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale, enable_gqa=q.size(1) != k.size(1))
        return out.permute(2, 0, 1, 3).reshape(sequence, batch, -1)

    def sharded_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}


def build_model(
    config: ModelConfig,
    parallel: ParallelConfig,
    mesh: Mesh,
    device: torch.device,
    *,
    vocabulary_size: int,
    sequence_length: int,
    dtype: torch.dtype,
    seed: int,
) -> tuple[GPTModel, TransformerConfig]:
    """This rank's part of the model with its initial weights, which are the same for every layout."""
    transformer = _transformer_config(config, parallel, device, dtype)
    model = GPTModel(
        transformer,
        _layers(transformer),
        config.padded_vocabulary(vocabulary_size),
        sequence_length,
        pre_process=mesh.is_first_stage,
        post_process=mesh.is_last_stage,
        position_embedding_type="rope",
        rotary_base=config.rope_base,
        share_embeddings_and_output_weights=config.tied,
    )
    model = model.to(device=device, dtype=dtype)
    initialise(model, config, seed)
    return model, transformer


def initialise(model: GPTModel, config: ModelConfig, seed: int) -> None:
    """Draw every weight from a generator that is named by the seed and the weight, and keep this rank's slice of it.

    So the initial model does not depend on the layout. A whole matrix of one layer is held at a time.
    """
    state = model.sharded_state_dict(metadata=checkpoint_metadata())
    apply_factories(state)
    for part in nested_values(state):
        if not isinstance(part, ShardedTensor) or part.data is None or not part.data.is_floating_point():
            continue
        stacked = part.prepend_axis_num
        shape = part.global_shape[stacked:]
        if len(shape) == 1:
            continue  # norms start at one
        generator = torch.Generator().manual_seed(_seed_of(seed, part.key, part.global_offset[:stacked]))
        deviation = config.initial_deviation
        if part.key.endswith(RESIDUAL_WRITERS):
            deviation /= (2 * config.layers) ** 0.5
        whole = torch.randn(shape, generator=generator, dtype=torch.float32) * deviation
        own = whole[tuple(slice(start, start + size) for start, size in zip(part.global_offset[stacked:], part.local_shape, strict=True))]
        with torch.no_grad():
            part.data.copy_(own.reshape(part.data.shape))


def _seed_of(seed: int, name: str, layer: tuple[int, ...]) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}/{tuple(layer)}".encode()).digest()[:6], "little")


def _transformer_config(config: ModelConfig, parallel: ParallelConfig, device: torch.device, dtype: torch.dtype) -> TransformerConfig:
    return TransformerConfig(
        num_layers=config.layers,
        hidden_size=config.hidden,
        num_attention_heads=config.heads,
        num_query_groups=config.query_groups,
        ffn_hidden_size=config.ffn,
        normalization="RMSNorm",
        layernorm_epsilon=config.norm_epsilon,
        gated_linear_unit=True,
        activation_func=F.silu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        tensor_model_parallel_size=parallel.tensor,
        pipeline_model_parallel_size=parallel.pipeline,
        sequence_parallel=parallel.sequence_parallel,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype == torch.bfloat16,
        # Gradients are divided by the tokens of the global batch, not by those of a micro-batch.
        calculate_per_token_loss=True,
        use_cpu_initialization=device.type == "cpu",
        perform_initialization=False,
        transformer_impl="local",
        # Fusions that need Apex or Transformer Engine.
        gradient_accumulation_fusion=False,
        masked_softmax_fusion=False,
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        persist_layer_norm=False,
        cross_entropy_loss_fusion=False,
    )


def _layers(config: TransformerConfig) -> TransformerBlockSubmodules:
    layer = get_gpt_layer_local_spec(normalization="RMSNorm")
    layer.submodules.input_layernorm = RMSNorm
    layer.submodules.pre_mlp_layernorm = RMSNorm
    layer.submodules.self_attention.submodules.core_attention = CausalAttention
    return TransformerBlockSubmodules(layer_specs=[layer] * get_num_layers_to_build(config), layer_norm=RMSNorm)
