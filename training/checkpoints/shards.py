"""A rank's shards on their way to disk: planned with the other ranks, copied to host memory, written, and read back.

Planning is megatron-core's, of the state as it is at this save: no plan, and no reference to a live tensor, outlives
it.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.core import CheckpointingConfig, save_config
from megatron.core.dist_checkpointing.dict_utils import nested_values
from megatron.core.dist_checkpointing.mapping import ShardedStateDict, is_main_replica
from megatron.core.dist_checkpointing.strategies.filesystem_async import FileSystemWriterAsync
from megatron.core.dist_checkpointing.strategies.torch import TorchDistSaveShardedStrategy
from torch.distributed.checkpoint.filesystem import SerializationFormat, _write_item
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import WriteItem
from torch.distributed.checkpoint.storage import WriteResult

from training.checkpoints.commit import FileFacts

FORMAT = CheckpointingConfig("torch_dist", 1)
READ_BYTES = 1 << 24

type Shard = tuple[WriteItem, torch.Tensor | io.BytesIO]


class HostMemory:
    """Host copies of a rank's tensors. Buffers are used again by the next save, which begins only after this one has
    ended; pinned beside a GPU."""

    def __init__(self, pinned: bool) -> None:
        self._pinned = pinned
        self._buffers: dict[Any, torch.Tensor] = {}

    def copy(self, shards: list[tuple[WriteItem, torch.Tensor]]) -> list[Shard]:
        """Returns once all values are in host memory."""
        copies: list[Shard] = []
        for item, tensor in shards:
            buffer = self._buffers.get(item.index)
            if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
                buffer = self._buffers[item.index] = torch.empty(
                    tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=self._pinned
                )
            buffer.copy_(tensor.detach(), non_blocking=self._pinned)
            copies.append((item, buffer))
        if self._pinned:
            torch.cuda.synchronize()
        return copies


@dataclass
class StagedShards:
    """What one rank writes. `metadata`, which places every rank's shards, is there on the first rank only."""

    writer: FileSystemWriterAsync
    metadata: Metadata | None
    files: list[tuple[Path, list[Shard]]]
    read_back: int = 0
    """Bytes that were read again so far."""

    def progress(self) -> int:
        """Grows while shards are written and read again, in bytes."""
        return self.read_back + sum(path.stat().st_size for path, _ in self.files if path.exists())


@dataclass
class WrittenShards:
    """What the first rank must know of a rank's shards to commit them."""

    results: list[WriteResult] = field(default_factory=list)
    files: dict[str, FileFacts] = field(default_factory=dict)


class _Planner(TorchDistSaveShardedStrategy):
    """megatron-core's way to save, up to the point where it would write."""

    writer: FileSystemWriterAsync
    metadata: Metadata | None

    def _get_save_and_finalize_callbacks(self, writer: Any, planned: Any, strategy: str) -> Any:
        self.writer, self.metadata = writer, planned[1]
        return super()._get_save_and_finalize_callbacks(writer, planned, strategy)


def own_bytes(sharded: ShardedStateDict) -> int:
    """Bytes of tensors that this rank will write."""
    # AdamW's count of steps is a tensor that is not sharded.
    parts = [
        part
        for part in nested_values(sharded)
        if hasattr(part, "replica_id") and torch.is_tensor(part.data) and is_main_replica(part.replica_id)
    ]
    return sum(part.data.numel() * part.data.element_size() for part in parts)


def stage(sharded: ShardedStateDict, folder: Path, memory: HostMemory, *, check_access: bool) -> StagedShards:
    """Agree with the other ranks on who writes what, and copy this rank's part; all ranks call it.

    `check_access` also makes sure that every part of every tensor is written by exactly one rank; once a run is enough.
    """
    planner = _Planner()
    # `mcore` is the strategy without another package; its request, which would write in another process, is not used.
    dist_checkpointing.save(
        sharded,
        str(folder),
        planner,
        validate_access_integrity=check_access,
        async_sharded_save=True,
        async_strategy="mcore",
    )
    files: list[tuple[Path, list[Shard]]] = []
    for path, _, (objects, tensors) in planner.writer.write_buckets or []:
        files.append((Path(path), [*objects, *memory.copy(tensors)]))
    return StagedShards(planner.writer, planner.metadata, files)


def write(staged: StagedShards) -> WrittenShards:
    """Write, flush to disk, and compare with what the files hold then. `OSError` where that does not go well; no
    rank waits for another here."""
    written = WrittenShards()
    for path, shards in staged.files:
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for item, content in shards:
                # In memory first: torch's archive writer does not survive a disk that is full.
                buffer = io.BytesIO()
                result = _write_item(
                    staged.writer.transforms, buffer, content, item, path.name, SerializationFormat.TORCH_SAVE
                )
                written.results.append(replace(result, storage_data=replace(result.storage_data, offset=file.tell())))
                digest.update(buffer.getbuffer())
                file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        written.files[path.name] = FileFacts(size, digest.hexdigest())
        if _read_back(staged, path) != written.files[path.name]:
            raise OSError(f"{path}: does not read back as it was written")
    return written


def finish(staged: StagedShards, folder: Path, results: list[list[WriteResult]]) -> None:
    """Write what makes a folder of shards loadable; the first rank's part, once all have written."""
    staged.writer.finish(staged.metadata, results)
    save_config(FORMAT, str(folder))


def _read_back(staged: StagedShards, path: Path) -> FileFacts:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        # From the disk, not from the memory of what was just written.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while content := file.read(READ_BYTES):
            digest.update(content)
            staged.read_back += len(content)
        return FileFacts(file.tell(), digest.hexdigest())
