"""What a checkpoint holds of the live objects, and how they get it back in any layout. `training.checkpoints.saver`
makes checkpoints."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.mapping import ShardedObject
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.tensor_parallel import get_cuda_rng_tracker

from training.checkpoints.commit import Commit, wrong_files
from training.megatron.optimizer import inner_optimizers
from training.megatron.parallel import Mesh, checkpoint_metadata


@dataclass(frozen=True)
class TrainingState:
    """The live objects that a checkpoint holds."""

    model: GPTModel
    optimizer: MegatronOptimizer
    mesh: Mesh


def sharded(state: TrainingState) -> dict[str, Any]:
    """All of the state, as megatron-core's sharded tensors and objects that refer to the live ones."""
    return {**_model_and_optimizer(state), "rng": _rng_object(state.mesh)}


def load(state: TrainingState, folder: Path, commit: Commit) -> None:
    """Bring the state back, whatever layout wrote it. Random states come back in the same layout only; in another
    one they stay as seeded."""
    wanted = _model_and_optimizer(state)
    same_layout = commit.layout == state.mesh.layout
    if same_layout:
        wanted["rng"] = _rng_object(state.mesh)
    loaded = dist_checkpointing.load(wanted, str(folder))
    state.model.load_state_dict(loaded["model"], strict=True)
    state.optimizer.load_state_dict(loaded["optimizer"])
    for inner in inner_optimizers(state.optimizer):
        for weight_state in inner.state.values():
            # Shared by all weights after a load, it would be advanced once for each of them.
            if torch.is_tensor(weight_state.get("step")):
                weight_state["step"] = weight_state["step"].clone()
    if same_layout:
        _set_rng(loaded["rng"])


def wrong_content(folder: Path, mesh: Mesh) -> list[str]:
    """Files of a checkpoint that do not hold what its commit says. Each rank reads a share of them; all know of all."""
    found: list[Any] = [None] * mesh.world_size
    dist.all_gather_object(found, wrong_files(folder, mesh.rank, mesh.world_size))
    return sorted(name for names in found for name in names)


def _model_and_optimizer(state: TrainingState) -> dict[str, Any]:
    metadata = checkpoint_metadata()
    model = state.model.sharded_state_dict(metadata=metadata)
    # Not `is_loading`: the optimizer's state is there from the start, and megatron-core cannot make that of SGD.
    optimizer = state.optimizer.sharded_state_dict({"model": model}, is_loading=False, metadata=metadata)
    return {"model": model, "optimizer": optimizer}


def _rng_object(mesh: Mesh) -> ShardedObject:
    data = {
        "torch": torch.get_rng_state(),
        "parallel": get_cuda_rng_tracker().get_states(),
        "cuda": torch.cuda.get_rng_state(),
        "python": list(random.getstate()[1]),
        "numpy": torch.from_numpy(np.random.get_state()[1].astype(np.int64)),  # type: ignore[index, union-attr]
        "numpy_position": int(np.random.get_state()[2]),  # type: ignore[arg-type]
    }
    return ShardedObject("rng", data, (mesh.world_size,), (mesh.rank,))


def _set_rng(data: dict[str, Any]) -> None:
    torch.set_rng_state(data["torch"])
    torch.cuda.set_rng_state(data["cuda"])
    get_cuda_rng_tracker().set_states(data["parallel"])
    random.setstate((3, tuple(data["python"]), None))
    np.random.set_state(("MT19937", data["numpy"].numpy().astype(np.uint32), data["numpy_position"]))
