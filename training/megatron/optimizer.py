"""The optimizer: megatron-core's wrapper, which sums, clips and keeps fp32 weights, around torch's AdamW or SGD."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.optimizer import MegatronOptimizer, ParamKey, get_megatron_optimizer
from megatron.core.optimizer import OptimizerConfig as CoreOptimizerConfig
from megatron.core.optimizer.optimizer_config import ParamWithNamePredicate
from megatron.core.transformer import TransformerConfig

from training.config import OptimizerConfig
from training.megatron.model import Model


class Replica(list[DistributedDataParallel]):
    """The stretches of a `Model` with their gradients; a list, as megatron-core's schedules take it."""

    def zero_grad_buffer(self) -> None:
        for stretch in self:
            stretch.zero_grad_buffer()


def wrap_data_parallel(model: Model, transformer: TransformerConfig, *, shard_optimizer: bool = False) -> Replica:
    """The model with fp32 gradient buffers that are summed over the data-parallel ranks, to each the part whose
    optimizer state it keeps."""
    # Whether gradients are finite is judged by their norm, which all ranks know; here one rank alone would raise.
    config = DistributedDataParallelConfig(
        grad_reduce_in_fp32=True, use_distributed_optimizer=shard_optimizer, check_for_nan_in_grad=False
    )
    return Replica(
        DistributedDataParallel(transformer, config, stretch, disable_bucketing=place > 0)
        for place, stretch in enumerate(model)
    )


def build_optimizer(
    config: OptimizerConfig, replica: Replica, device: torch.device, dtype: torch.dtype
) -> MegatronOptimizer:
    """An optimizer that has taken no step. Vectors do not decay, nor do embeddings but where the configuration says
    so."""
    core = CoreOptimizerConfig(
        optimizer={"adamw": "adam", "sgd": "sgd"}[config.kind],
        lr=config.learning_rate,
        min_lr=0.0,
        weight_decay=config.weight_decay,
        adam_beta1=config.beta1,
        adam_beta2=config.beta2,
        adam_eps=config.epsilon,
        sgd_momentum=0.0,
        clip_grad=config.clip_norm,
        bf16=dtype == torch.bfloat16,
        params_dtype=dtype,
        use_distributed_optimizer=replica[0].ddp_config.use_distributed_optimizer,
    )
    exempt = ParamKey(
        with_name_predicate=ParamWithNamePredicate(
            name="exempt from decay", fn=lambda weight, name: not _decays(weight, name, config)
        )
    )
    optimizer = get_megatron_optimizer(
        core, list(replica), config_overrides={exempt: {"wd_mult": 0.0}}, use_gloo_process_groups=device.type == "cuda"
    )
    if config.kind == "adamw":
        _start_adam_state(optimizer)
    return optimizer


def _decays(weight: torch.Tensor, name: str, config: OptimizerConfig) -> bool:
    # Where the last pipeline stage has a copy of the embedding as its output layer, it is marked as shared.
    embedding = name.endswith("word_embeddings.weight") or getattr(weight, "shared_embedding", False)
    return weight.dim() > 1 and (config.decay_embeddings or not embedding)


def set_learning_rate(optimizer: MegatronOptimizer, rate: float, config: OptimizerConfig) -> None:
    """Set this step's rate. Weight decay is set here too: megatron-core marks with `wd_mult` 0 what does not decay,
    and leaves the rest to its scheduler."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        group["weight_decay"] = config.weight_decay * group["wd_mult"]


def inner_optimizers(optimizer: MegatronOptimizer) -> list[torch.optim.Optimizer]:
    return [
        part.optimizer for part in getattr(optimizer, "chained_optimizers", [optimizer]) if part.optimizer is not None
    ]


def _start_adam_state(optimizer: MegatronOptimizer) -> None:
    """Torch makes its state in the first step; a checkpoint can be loaded only into state that is there."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        inner = part.optimizer
        if inner is None:
            continue
        if not isinstance(inner, torch.optim.AdamW):
            part.init_state_fn(inner, part.config)  # the fused one of Transformer Engine or Apex
            continue
        for group in inner.param_groups:
            for weight in group["params"]:
                state: dict[str, Any] = inner.state[weight]
                if not state:
                    state.update(
                        step=torch.tensor(0.0), exp_avg=torch.zeros_like(weight), exp_avg_sq=torch.zeros_like(weight)
                    )
