"""Logits of a checkpoint by megatron-core in a process of its own: `print_logits.py CHECKPOINT OUT`."""

import sys
from pathlib import Path

import torch

from training.commit import read_commit
from training.config import ParallelConfig, TrainingConfig
from training.device import prepare_device


def main(checkpoint: Path, out: Path) -> None:
    device = prepare_device(0)
    from megatron.core import dist_checkpointing

    from training import parallel
    from training.model import build_model

    commit = read_commit(checkpoint)
    config = TrainingConfig.model_validate(commit.config)
    mesh = parallel.stand_alone(device, 99)
    model, _ = build_model(
        config.model, ParallelConfig(), mesh, device, vocabulary_size=commit.vocabulary_size, sequence_length=32, dtype=torch.float32, seed=99
    )
    loaded = dist_checkpointing.load({"model": model.sharded_state_dict(metadata=parallel.checkpoint_metadata())}, str(checkpoint))
    model.load_state_dict(loaded["model"])
    tokens = torch.arange(64).view(2, 32) * 5 % 300
    with torch.no_grad():
        torch.save(model(tokens, torch.arange(32).expand(2, 32), None).float(), out)
    parallel.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
