"""Process groups: which ranks share a replica, and who this rank is among them. Alone in touching megatron-core's
`parallel_state`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel import model_parallel_cuda_manual_seed

from training.config import ParallelConfig


@dataclass(frozen=True)
class Mesh:
    """This rank's place. Ranks of a `tensor` group share matrices, of a `context` group sequences, of a `pipeline`
    group layers; `data` counts replicas."""

    rank: int
    world_size: int
    tensor_rank: int
    tensor_size: int
    pipeline_rank: int
    pipeline_size: int
    context_rank: int
    context_size: int
    data_rank: int
    data_size: int
    layout: str

    @property
    def is_first_stage(self) -> bool:
        return self.pipeline_rank == 0

    @property
    def is_last_stage(self) -> bool:
        return self.pipeline_rank == self.pipeline_size - 1

    @property
    def reads(self) -> bool:
        """Whether this is the rank that counts its replica's slice of a batch."""
        return self.is_first_stage and self.tensor_rank == 0 and self.context_rank == 0


def join(
    config: ParallelConfig, device: torch.device, *, rank: int, world_size: int, rendezvous: str | None, seed: int
) -> Mesh:
    """Meet the other ranks and form the groups.

    `rendezvous` is a file that all ranks on this machine can write to; without one, MASTER_ADDR and MASTER_PORT are
    used.
    """
    timeout = timedelta(seconds=config.timeout_seconds)
    backend = "nccl" if device.type == "cuda" else "gloo"
    method = f"file://{rendezvous}" if rendezvous else "env://"
    dist.init_process_group(
        backend,
        init_method=method,
        rank=rank,
        world_size=world_size,
        timeout=timeout,
        device_id=device if device.type == "cuda" else None,
    )
    return _form_groups(config, device, seed)


def stand_alone(device: torch.device, seed: int) -> Mesh:
    """A world of this process alone, after any other one has been left."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return _form_groups(ParallelConfig(), device, seed)


def leave() -> None:
    """Take the groups apart."""
    parallel_state.destroy_model_parallel()
    if dist.is_initialized():
        dist.destroy_process_group()


def checkpoint_metadata() -> dict[str, object]:
    """What megatron-core's sharded state dicts ask for."""
    return {
        "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True),
        "chained_optim_avoid_prefix": True,
        # The form that loads in any layout; megatron-core's default cannot be written any more.
        "distrib_optim_sharding_type": "fully_reshardable",
    }


def own_stretches(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's part of sequences [..., S]."""
    return stretches_of(
        tensor, parallel_state.get_context_parallel_rank(), parallel_state.get_context_parallel_world_size()
    )


def stretches_of(tensor: torch.Tensor, rank: int, ranks: int) -> torch.Tensor:
    """The part of sequences [..., S] that context rank `rank` of `ranks` holds: [..., S / ranks].

    Of twice as many stretches as ranks, rank r holds the r-th and the r-th from the end, so that all see equally
    many keys; megatron-core turns positions by the same rule.
    """
    if ranks == 1:
        return tensor
    stretches = tensor.chunk(2 * ranks, dim=-1)
    return torch.cat([stretches[rank], stretches[2 * ranks - 1 - rank]], dim=-1)


def _form_groups(config: ParallelConfig, device: torch.device, seed: int) -> Mesh:
    parallel_state.initialize_model_parallel(
        config.tensor,
        config.pipeline,
        config.virtual_stages if config.virtual_stages > 1 else None,
        context_parallel_size=config.context,
        expert_model_parallel_size=config.expert,
        # Experts are small: each is whole on its rank.
        expert_tensor_parallel_size=1,
        distributed_timeout_minutes=max(1, round(config.timeout_seconds / 60)),
        # On a CPU the default groups are gloo already.
        create_gloo_process_groups=device.type == "cuda",
    )
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)
    model_parallel_cuda_manual_seed(seed)
    return Mesh(
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
        tensor_rank=parallel_state.get_tensor_model_parallel_rank(),
        tensor_size=parallel_state.get_tensor_model_parallel_world_size(),
        pipeline_rank=parallel_state.get_pipeline_model_parallel_rank(),
        pipeline_size=parallel_state.get_pipeline_model_parallel_world_size(),
        context_rank=parallel_state.get_context_parallel_rank(),
        context_size=parallel_state.get_context_parallel_world_size(),
        data_rank=parallel_state.get_data_parallel_rank(),
        data_size=parallel_state.get_data_parallel_world_size(),
        layout=config.layout(parallel_state.get_data_parallel_world_size()),
    )
