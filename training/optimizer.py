"""The optimizer: megatron-core's wrapper, which sums, clips and keeps fp32 weights, around torch's AdamW or SGD."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer, get_megatron_optimizer
from megatron.core.optimizer import OptimizerConfig as CoreOptimizerConfig
from megatron.core.transformer import TransformerConfig

from training.config import OptimizerConfig


def wrap_data_parallel(model: GPTModel, transformer: TransformerConfig) -> DistributedDataParallel:
    """The model with fp32 gradient buffers that are summed over the data-parallel ranks."""
    # Whether gradients are finite is judged by their norm, which all ranks know; here one rank alone would raise.
    config = DistributedDataParallelConfig(grad_reduce_in_fp32=True, use_distributed_optimizer=False, check_for_nan_in_grad=False)
    return DistributedDataParallel(transformer, config, model)


def build_optimizer(config: OptimizerConfig, model: DistributedDataParallel, device: torch.device, dtype: torch.dtype) -> MegatronOptimizer:
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
        use_distributed_optimizer=False,
    )
    optimizer = get_megatron_optimizer(core, [model], use_gloo_process_groups=device.type == "cuda")
    if config.kind == "adamw":
        _start_adam_state(optimizer)
    return optimizer


def set_learning_rate(optimizer: MegatronOptimizer, rate: float, config: OptimizerConfig) -> None:
    """Set this step's rate. Weight decay is set here too: megatron-core marks vectors with `wd_mult` 0 and leaves it to its scheduler to act on that."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        group["weight_decay"] = config.weight_decay * group["wd_mult"]


def inner_optimizers(optimizer: MegatronOptimizer) -> list[torch.optim.Optimizer]:
    return [part.optimizer for part in getattr(optimizer, "chained_optimizers", [optimizer]) if part.optimizer is not None]


def _start_adam_state(optimizer: MegatronOptimizer) -> None:
    """Torch makes its state in the first step; a checkpoint can be loaded only into state that is there."""
    for inner in inner_optimizers(optimizer):
        for group in inner.param_groups:
            for weight in group["params"]:
                state: dict[str, Any] = inner.state[weight]
                if not state:
                    state.update(step=torch.tensor(0.0), exp_avg=torch.zeros_like(weight), exp_avg_sq=torch.zeros_like(weight))
