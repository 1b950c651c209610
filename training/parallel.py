"""Process groups: which ranks share a replica, and who this rank is among them. Alone in touching megatron-core's `parallel_state`."""

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
    """This rank's place. Groups: `model` holds one replica, `data` the ranks with the same part of each replica."""

    rank: int
    world_size: int
    tensor_rank: int
    tensor_size: int
    pipeline_rank: int
    pipeline_size: int
    data_rank: int
    data_size: int

    @property
    def is_first_stage(self) -> bool:
        return self.pipeline_rank == 0

    @property
    def is_last_stage(self) -> bool:
        return self.pipeline_rank == self.pipeline_size - 1

    @property
    def layout(self) -> str:
        return f"tensor {self.tensor_size} x pipeline {self.pipeline_size} x data {self.data_size}"


def join(config: ParallelConfig, device: torch.device, *, rank: int, world_size: int, rendezvous: str | None, seed: int) -> Mesh:
    """Meet the other ranks and form the groups.

    `rendezvous` is a file that all ranks on this machine can write to; without one, MASTER_ADDR and MASTER_PORT are used.
    """
    timeout = timedelta(seconds=config.timeout_seconds)
    backend = "nccl" if device.type == "cuda" else "gloo"
    method = f"file://{rendezvous}" if rendezvous else "env://"
    dist.init_process_group(backend, init_method=method, rank=rank, world_size=world_size, timeout=timeout, device_id=device if device.type == "cuda" else None)
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
    return {"dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True), "chained_optim_avoid_prefix": True}


def _form_groups(config: ParallelConfig, device: torch.device, seed: int) -> Mesh:
    parallel_state.initialize_model_parallel(
        config.tensor,
        config.pipeline,
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
        data_rank=parallel_state.get_data_parallel_rank(),
        data_size=parallel_state.get_data_parallel_world_size(),
    )
