"""The weights that training starts from, the same for every layout."""

from __future__ import annotations

import hashlib

import torch
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedTensor, apply_factories

from training.config import ModelConfig
from training.parallel import checkpoint_metadata

RESIDUAL_WRITERS = ("linear_proj.weight", "linear_fc2.weight")
"""Layers whose output is added to the residual stream."""


def initialise(model: torch.nn.Module, config: ModelConfig, seed: int) -> None:
    """Draw every weight from a generator that is named by the seed and the weight, and keep this rank's slice of it.

    So the initial model does not depend on the layout. Memory beside the model: one whole matrix of one layer, or of one expert, in fp32, which at
    most is the embedding (2 GB for 128,000 tokens of 4,096). Ranks that share a matrix each draw all of it.
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
        whole = torch.randn(shape, generator=generator, dtype=torch.float32).mul_(deviation)
        own = whole[tuple(slice(start, start + size) for start, size in zip(part.global_offset[stacked:], part.local_shape, strict=True))]
        with torch.no_grad():
            part.data.copy_(own.reshape(part.data.shape))


def _seed_of(seed: int, name: str, place: tuple[int, ...]) -> int:
    """`place` counts layers, and experts."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}/{tuple(place)}".encode()).digest()[:6], "little")
