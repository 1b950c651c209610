"""What a machine has for training, and whether it works."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

PACKAGES = ("torch", "megatron-core", "deltalake", "pyarrow", "tokenizers", "safetensors")
OPTIONAL = ("transformer-engine", "transformers", "lm-eval", "tensorboard", "wandb", "mlflow")
SHARED_MEMORY = Path("/dev/shm")


def diagnose() -> list[str]:
    """Lines `what  value`; raises where ranks cannot talk to each other."""
    lines = [f"python          {platform.python_version()}"]
    lines += [f"{name:<15} {importlib.metadata.version(name)}" for name in PACKAGES]
    lines.append(f"optional        {', '.join(f'{name} {_version(name) or "no"}' for name in OPTIONAL)}")
    if torch.cuda.is_available():
        lines += [f"gpu {index:<11} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
        lines.append(f"nccl            {'.'.join(map(str, torch.cuda.nccl.version()))}")
    else:
        lines.append(f"device          cpu, {len(os.sched_getaffinity(0))} cores (no GPU found: fp32 over gloo)")
    if SHARED_MEMORY.is_dir():
        lines.append(
            f"shared memory   {shutil.disk_usage(SHARED_MEMORY).free / (1 << 30):.1f} GiB free in {SHARED_MEMORY}, for "
            f"exchange between the GPUs of a machine"
        )
    lines.append(f"slurm           {_slurm()}")
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_add_ranks, args=(2, str(Path(folder) / "store")), nprocs=2, join=True)
    lines.append("gloo            two ranks summed their numbers")
    return lines


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _slurm() -> str:
    if shutil.which("srun") is None:
        return "no srun here; ranks are started by `pretrain run --ranks N` or torchrun"
    version = subprocess.run(("srun", "--version"), capture_output=True, text=True, check=False).stdout.strip()
    return version or "srun is here, but no configuration of a cluster (SLURM_CONF)"


def _add_ranks(rank: int, ranks: int, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    total = torch.tensor([float(rank + 1)])
    dist.all_reduce(total)
    if total.item() != ranks * (ranks + 1) / 2:
        raise RuntimeError(f"gloo summed to {total.item()}")
    dist.destroy_process_group()
