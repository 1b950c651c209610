"""The weights that training starts from, the same for every layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedTensor, apply_factories

from training.config import ModelConfig
from training.megatron.parallel import checkpoint_metadata

RESIDUAL_WRITERS = ("linear_proj.weight", "linear_fc2.weight")
"""Layers whose output is added to the residual stream."""


def fill(model: torch.nn.Module, whole: Callable[[str, tuple[int, ...], tuple[int, ...]], torch.Tensor | None]) -> None:
    """Give every weight this rank's slice of `whole(name, place, shape)`; `place` counts layers, and experts. None
    leaves a weight as it is."""
    state = model.sharded_state_dict(metadata=checkpoint_metadata())
    apply_factories(state)
    for part in nested_values(state):
        if not isinstance(part, ShardedTensor) or part.data is None or not part.data.is_floating_point():
            continue
        stacked = part.prepend_axis_num
        found = whole(part.key, part.global_offset[:stacked], part.global_shape[stacked:])
        if found is None:
            continue
        own = found[
            tuple(
                slice(start, start + size)
                for start, size in zip(part.global_offset[stacked:], part.local_shape, strict=True)
            )
        ]
        with torch.no_grad():
            part.data.copy_(own.reshape(part.data.shape))


def initialise(model: torch.nn.Module, config: ModelConfig, seed: int) -> None:
    """Draw every weight from a generator that is named by the seed and the weight, and keep this rank's slice of it.

    So the initial model does not depend on the layout. Memory beside the model: one whole matrix of one layer, or of
    one expert, in fp32, which at most is the embedding (2 GB for 128,000 tokens of 4,096). Ranks that share a matrix
    each draw all of it.
    """

    def draw(name: str, place: tuple[int, ...], shape: tuple[int, ...]) -> torch.Tensor | None:
        if len(shape) == 1:
            return None  # norms start at one
        deviation = config.initial_deviation
        if name.endswith(RESIDUAL_WRITERS):
            deviation /= (2 * config.layers) ** 0.5
        return torch.randn(shape, generator=torch.Generator().manual_seed(_seed_of(seed, name, place))).mul_(deviation)

    fill(model, draw)


def _seed_of(seed: int, name: str, place: tuple[int, ...]) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}/{tuple(place)}".encode()).digest()[:6], "little")
