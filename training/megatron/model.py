"""The model: megatron-core's GPTModel in the form of Llama, Qwen3 or Mixtral, made in one place so that a later
megatron-core can change it in one place.

GPTModel rather than its successor HybridModel, which in 0.19 does not build without Transformer Engine. The norm and
the attention core are our own, because megatron-core's need Apex or Transformer Engine for sequence parallelism and
for speed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.extensions.transformer_engine import HAVE_TE, TENorm
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import (
    get_gpt_layer_local_spec,
    get_gpt_layer_with_transformer_engine_spec,
)
from megatron.core.transformer import ModuleSpec, TransformerConfig
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build

from schemas.plumbing.errors import UsageError
from training.config import ModelConfig, ParallelConfig
from training.megatron.attention import Attention
from training.megatron.initial_weights import initialise
from training.megatron.parallel import Mesh
from training.megatron.rotary import scaled_frequencies


class RMSNorm(torch.nn.RMSNorm):
    """Root mean square norm (arXiv 1910.07467) whose weight's gradient is summed over the ranks that share the
    sequence."""

    def __init__(self, config: TransformerConfig, hidden_size: int, eps: float = 1e-5, **_: Any) -> None:
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype)
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]


class Model(torch.nn.ModuleList):
    """This rank's part of the model: one stretch of layers, or one for each virtual stage, in order."""

    def forward(self, *args: Any, **arguments: Any) -> torch.Tensor:
        """The forward pass of the only stretch; where there are more, the pipeline's schedule calls each of them in
        its turn."""
        (only,) = self
        return only(*args, **arguments)  # type: ignore[no-any-return]

    def sharded_state_dict(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Weights by what they are called in every layout."""
        return {f"stretch {index}": stretch.sharded_state_dict(metadata=metadata) for index, stretch in enumerate(self)}

    def load_state_dict(self, state: dict[str, Any], strict: bool = True, assign: bool = False) -> None:  # type: ignore[override]
        """Take weights in the form of `sharded_state_dict`."""
        for index, stretch in enumerate(self):
            stretch.load_state_dict(state[f"stretch {index}"], strict=strict, assign=assign)


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
    causal: bool = True,
) -> tuple[Model, TransformerConfig]:
    """This rank's part of the model with its initial weights, which are the same for every layout. Without `causal`
    a token sees those after it too."""
    engine = has_engine(config, device)
    transformer = _transformer_config(config, parallel, device, dtype, engine)
    stretches = []
    for place in range(parallel.virtual_stages):
        stage = place if parallel.virtual_stages > 1 else None
        stretch = GPTModel(
            transformer,
            _layers(transformer, stage, causal, engine),
            config.padded_vocabulary(vocabulary_size),
            sequence_length,
            pre_process=mesh.is_first_stage and place == 0,
            post_process=mesh.is_last_stage and place == parallel.virtual_stages - 1,
            position_embedding_type="rope",
            rotary_base=config.rope_base,
            share_embeddings_and_output_weights=config.tied,
            vp_stage=stage,
        )
        if config.rope_scaling:
            # megatron-core's own scaling has the limits and the length of Llama 3.1 written into it.
            stretch.rotary_pos_emb.inv_freq = scaled_frequencies(stretch.rotary_pos_emb.inv_freq, config.rope_scaling)
        stretches.append(stretch.to(device=device, dtype=dtype))
    model = Model(stretches)
    _mark_experts(model)
    initialise(model, config, seed)
    return model, transformer


def has_engine(config: ModelConfig, device: torch.device) -> bool:
    """Whether Transformer Engine's kernels are used; `UsageError` where they are asked for and cannot be."""
    available = HAVE_TE and device.type == "cuda"
    for key, asked in (
        ("model.kernels: transformer_engine", config.kernels == "transformer_engine"),
        ("model.fp8", config.fp8),
    ):
        if asked and not available:
            raise UsageError(f"{key}: needs a GPU and the package transformer_engine, which this machine does not have")
    if config.fp8 and torch.cuda.get_device_capability(device) < (8, 9):
        raise UsageError(f"model.fp8: {torch.cuda.get_device_name(device)} does not multiply in 8 bits")
    return available and config.kernels != "torch"


def _transformer_config(
    config: ModelConfig, parallel: ParallelConfig, device: torch.device, dtype: torch.dtype, engine: bool
) -> TransformerConfig:
    recompute: dict[str, Any] = {
        "none": {},
        "selective": {"recompute_granularity": "selective"},
        "full": {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1},
    }[parallel.recompute]
    virtual = parallel.virtual_stages > 1
    return TransformerConfig(
        num_layers=config.layers,
        hidden_size=config.hidden,
        num_attention_heads=config.heads,
        num_query_groups=config.query_groups,
        kv_channels=config.head,
        ffn_hidden_size=config.ffn,
        normalization="RMSNorm",
        layernorm_epsilon=config.norm_epsilon,
        qk_layernorm=config.qk_norm,
        gated_linear_unit=True,
        activation_func=F.silu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        tensor_model_parallel_size=parallel.tensor,
        pipeline_model_parallel_size=parallel.pipeline,
        virtual_pipeline_model_parallel_size=parallel.virtual_stages if virtual else None,
        context_parallel_size=parallel.context,
        sequence_parallel=parallel.sequence_parallel,
        # With both neighbours in one batch of messages, two pipeline ranks, each of which is both neighbours of the
        # other, take one message for the other: wrong losses, and no error.
        batch_p2p_comm=not virtual,
        overlap_p2p_comm=virtual,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype == torch.bfloat16,
        fp8="hybrid" if config.fp8 else None,
        # Gradients are divided by the tokens of the global batch, not by those of a micro-batch.
        calculate_per_token_loss=True,
        use_cpu_initialization=device.type == "cpu",
        perform_initialization=False,
        transformer_impl="transformer_engine" if engine else "local",
        bias_activation_fusion=True,
        bias_dropout_fusion=True,
        # Fusions that need Apex or Transformer Engine.
        gradient_accumulation_fusion=False,
        masked_softmax_fusion=False,
        persist_layer_norm=False,
        apply_rope_fusion=engine,
        cross_entropy_loss_fusion=False,
        **recompute,
        **(_expert_config(config, parallel, engine) if config.experts else {}),
    )


def _expert_config(config: ModelConfig, parallel: ParallelConfig, engine: bool) -> dict[str, Any]:
    return {
        "num_moe_experts": config.experts,
        "moe_router_topk": config.experts_per_token,
        "moe_ffn_hidden_size": config.ffn,
        # Shares of all experts are taken before the choice, shares of the chosen ones after it.
        "moe_router_pre_softmax": not config.router_normalised,
        "moe_router_dtype": "fp32",
        "moe_router_load_balancing_type": "seq_aux_loss" if config.balance_over == "sequence" else "aux_loss",
        "moe_aux_loss_coeff": config.balance_loss,
        "moe_z_loss_coeff": config.router_z_loss or None,
        "moe_token_dispatcher_type": "alltoall",
        "moe_grouped_gemm": engine,
        "expert_model_parallel_size": parallel.expert,
        "expert_tensor_parallel_size": 1,
    }


def _layers(config: TransformerConfig, stage: int | None, causal: bool, engine: bool) -> TransformerBlockSubmodules:
    experts = config.num_moe_experts
    if engine:
        layer = get_gpt_layer_with_transformer_engine_spec(
            num_experts=experts, moe_grouped_gemm=bool(experts), qk_layernorm=config.qk_layernorm
        )
        norm: Any = TENorm
    else:
        layer = get_gpt_layer_local_spec(num_experts=experts, qk_layernorm=config.qk_layernorm, normalization="RMSNorm")
        norm = RMSNorm
        layer.submodules.input_layernorm = layer.submodules.pre_mlp_layernorm = RMSNorm
        if experts:
            # The name that it has with Transformer Engine, whose experts leave the norm to itself.
            layer.submodules.sharded_state_dict_keys_map.pop("pre_mlp_layernorm.")
    attention: ModuleSpec = layer.submodules.self_attention
    attention.params = {**attention.params, "attn_mask_type": AttnMaskType.causal if causal else AttnMaskType.no_mask}
    attention.submodules.core_attention = Attention
    if config.qk_layernorm:
        attention.submodules.q_layernorm = attention.submodules.k_layernorm = norm
    return TransformerBlockSubmodules(
        layer_specs=[layer] * get_num_layers_to_build(config, vp_stage=stage), layer_norm=norm
    )


def _mark_experts(model: Model) -> None:
    """Let experts have buffers and an optimizer of their own even where no ranks share them, so that a checkpoint
    loads whether they do or not."""
    for name, weight in model.named_parameters():
        if ".experts." in name:
            weight.allreduce = False  # type: ignore[attr-defined]
