"""Checkpoints: sharded, loadable in any layout, and worth the name only once committed.

A checkpoint is a folder. Its shards are written first, read back and compared bit by bit; then `COMMITTED.json` is put in its place in one step.
Only then are older checkpoints removed. So a process that dies at any moment leaves the last committed checkpoint whole.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedObject, ShardedTensor, apply_factories
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.tensor_parallel import get_cuda_rng_tracker

from training.commit import COMMITTED, TOKENIZER, Commit, checkpoints_of, committed, folder_of
from training.optimizer import inner_optimizers
from training.parallel import Mesh, checkpoint_metadata


@dataclass(frozen=True)
class TrainingState:
    """The live objects that a checkpoint holds."""

    model: GPTModel
    optimizer: MegatronOptimizer
    mesh: Mesh


def save(state: TrainingState, out: Path, commit: Commit, tokenizer: str, keep: int) -> Path:
    """Write, read back, commit, and then remove all but the newest `keep` commits. All ranks call it; all return after the commit."""
    folder = folder_of(out, commit.step)
    if state.mesh.rank == 0:
        # What a killed save of the same step left behind.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    dist.barrier()
    dist_checkpointing.save({**_sharded(state), "rng": _rng_object(state.mesh), "commit": asdict(commit)}, str(folder))
    _read_back(state, folder)
    dist.barrier()
    if state.mesh.rank == 0:
        _commit(folder, commit)
        _retain(out, keep)
    dist.barrier()
    return folder


def load(state: TrainingState, folder: Path, commit: Commit) -> None:
    """Bring the state back, whatever layout wrote it. Random states come back in the same layout only; in another one they stay as seeded."""
    wanted = _sharded(state)
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


def _sharded(state: TrainingState) -> dict[str, Any]:
    metadata = checkpoint_metadata()
    model = state.model.sharded_state_dict(metadata=metadata)
    # Not `is_loading`: the optimizer's state is there from the start, and megatron-core cannot make that of SGD.
    optimizer = state.optimizer.sharded_state_dict({"model": model}, is_loading=False, metadata=metadata)
    return {"model": model, "optimizer": optimizer}


def _read_back(state: TrainingState, folder: Path) -> None:
    """Load this rank's shards into new memory, and compare them with the live ones; takes the memory of one rank's state."""
    live = _sharded(state)
    apply_factories(live)
    parts = {f"part {index}": part for index, part in enumerate(nested_values(live)) if isinstance(part, ShardedTensor)}
    loaded = dist_checkpointing.load({name: part.without_data() for name, part in parts.items()}, str(folder))
    for name, part in parts.items():
        if not torch.equal(loaded[name].cpu(), part.data.detach().cpu()):
            raise OSError(f"{folder}: {part.key} does not read back as it was written")


def _commit(folder: Path, commit: Commit) -> None:
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    for name in files:
        _flush_to_disk(folder / name)
    part = folder / f"{COMMITTED}.part"
    part.write_text(json.dumps({**asdict(commit), "files": files}, indent=1), encoding="utf-8")
    _flush_to_disk(part)
    part.replace(folder / COMMITTED)
    _flush_to_disk(folder)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _retain(out: Path, keep: int) -> None:
    folders = committed(out)
    for folder in folders[:-keep]:
        # The marker first: what is half removed must not look whole.
        (folder / COMMITTED).unlink()
        shutil.rmtree(folder)
    for folder in checkpoints_of(out).iterdir():
        # Left by a process that was killed before it could commit.
        if folder.name < folders[-1].name and folder not in folders:
            shutil.rmtree(folder)


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
