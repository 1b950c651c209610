"""The live objects of one rank: its part of the model, with gradients and optimizer, as a checkpoint holds them."""

from __future__ import annotations

import numpy as np
import torch

from training.checkpoints.checkpoint import TrainingState
from training.config import TrainingConfig
from training.megatron.model import build_model
from training.megatron.optimizer import build_optimizer, wrap_data_parallel
from training.megatron.parallel import Mesh
from training.megatron.step import Trainer, connect_gradients
from training.prepare import Job
from training.reading.token_bytes import bytes_of_tokens


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
        causal=config.objective.is_causal,
    )
    replica = wrap_data_parallel(model, transformer, shard_optimizer=config.parallel.shard_optimizer)
    optimizer = build_optimizer(config.optimizer, replica, device, dtype)
    connect_gradients(transformer, optimizer)
    return Trainer(
        replica,
        optimizer,
        TrainingState(model, optimizer, mesh),
        mesh,
        device,
        _token_bytes(job),
        config.objective.z_loss,
    )


def compute_type(config: TrainingConfig, device: torch.device) -> torch.dtype:
    """Type of the weights in forward and backward passes."""
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[config.precision]


def _token_bytes(job: Job) -> np.ndarray:
    known = bytes_of_tokens(job.table.tokenizer.definition)
    sizes = np.zeros(job.config.model.padded_vocabulary(job.table.tokenizer.vocabulary_size), np.int64)
    sizes[: len(known)] = known
    return sizes
