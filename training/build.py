"""The live objects of one rank: its part of the model, with gradients and optimizer, as a checkpoint holds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from megatron.core.optimizer import MegatronOptimizer

from training.checkpoint import TrainingState
from training.config import TrainingConfig
from training.model import build_model
from training.optimizer import Replica, build_optimizer, wrap_data_parallel
from training.parallel import Mesh
from training.prepare import Job
from training.step import connect_gradients


@dataclass(frozen=True)
class Trainer:
    """What a step needs besides its batch; `state` is the part that is saved."""

    model: Replica
    optimizer: MegatronOptimizer
    state: TrainingState
    mesh: Mesh
    device: torch.device


def build(job: Job, mesh: Mesh, device: torch.device) -> Trainer:
    """The model with its initial weights, the same for every layout, and an optimizer that has taken no step."""
    config = job.config
    dtype = compute_type(config, device)
    model, transformer = build_model(
        config.model,
        config.parallel,
        mesh,
        device,
        vocabulary_size=job.table.tokenizer.vocabulary_size,
        sequence_length=config.data.sequence_length,
        dtype=dtype,
        seed=config.seed,
    )
    replica = wrap_data_parallel(model, transformer, shard_optimizer=config.parallel.shard_optimizer)
    optimizer = build_optimizer(config.optimizer, replica, device, dtype)
    connect_gradients(transformer, optimizer)
    return Trainer(replica, optimizer, TrainingState(model, optimizer, mesh), mesh, device)


def compute_type(config: TrainingConfig, device: torch.device) -> torch.dtype:
    """Type of the weights in forward and backward passes."""
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[config.precision]
