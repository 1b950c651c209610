"""The model of a checkpoint, whole on this one process, to be asked and not trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from megatron.core import dist_checkpointing

from training.checkpoints.commit import Commit, read_commit
from training.config import ParallelConfig, TrainingConfig
from training.megatron import parallel
from training.megatron.build import compute_type
from training.megatron.model import Model, build_model
from training.megatron.parallel import Mesh


@dataclass(frozen=True)
class TrainedModel:
    """A model in evaluation mode, and what it was trained with."""

    model: Model
    mesh: Mesh
    device: torch.device
    commit: Commit
    config: TrainingConfig

    @torch.inference_mode()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """fp32 [B, S, vocabulary] on the CPU for tokens [B, S]; ids that only pad the vocabulary are left out."""
        tokens = tokens.to(self.device)
        positions = torch.arange(tokens.shape[1], device=self.device).expand_as(tokens)
        return self.model(tokens, positions, None)[..., : self.commit.vocabulary_size].float().cpu()  # type: ignore[no-any-return]


@contextmanager
def trained_model(folder: Path, device: torch.device) -> Iterator[TrainedModel]:
    """Load a committed checkpoint of any layout. This process must be in no process group, and is in none
    afterwards."""
    commit = read_commit(folder)
    config = TrainingConfig.model_validate(commit.config)
    mesh = parallel.stand_alone(device, config.seed)
    try:
        model, _ = build_model(
            config.model,
            ParallelConfig(),
            mesh,
            device,
            vocabulary_size=commit.vocabulary_size,
            sequence_length=config.data.sequence_length,
            dtype=compute_type(config, device),
            seed=config.seed,
            causal=config.objective.is_causal,
        )
        loaded = dist_checkpointing.load(
            {"model": model.sharded_state_dict(metadata=parallel.checkpoint_metadata())}, str(folder)
        )
        model.load_state_dict(loaded["model"], strict=True)
        model.eval()
        yield TrainedModel(model, mesh, device, commit, config)
    finally:
        parallel.leave()
