"""One optimizer step over one global batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core.distributed import DistributedDataParallel, finalize_model_grads
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer import TransformerConfig

from training.loader import Batch
from training.parallel import Mesh


@dataclass(frozen=True)
class StepResult:
    """What all ranks know after a step. `loss` is the mean over the tokens of the global batch, in nats; `stop` is true if any rank was asked to."""

    loss: float
    gradient_norm: float
    tokens: int
    batch_hash: str
    stop: bool


def connect_gradients(transformer: TransformerConfig, optimizer: MegatronOptimizer) -> None:
    """Tell the schedule how to finish gradients: sum over replicas, over sequence shards and tied embeddings, and divide by the tokens."""
    transformer.finalize_model_grads_func = finalize_model_grads
    transformer.grad_scale_func = optimizer.scale_loss


def train_step(model: DistributedDataParallel, optimizer: MegatronOptimizer, batch: Batch, mesh: Mesh, device: torch.device, stop: bool) -> StepResult:
    """Forward and backward over `batch.sequences` [micro-batches, sequences, S + 1], then one update."""
    model.zero_grad_buffer()
    optimizer.zero_grad()
    micro_batches, sequences, length = batch.sequences.shape
    losses = get_forward_backward_func()(
        forward_step_func=_forward,
        data_iterator=_on_device(batch.sequences, device),
        model=model,
        num_microbatches=micro_batches,
        seq_length=length - 1,
        micro_batch_size=sequences,
        forward_only=False,
    )
    succeeded, norm, _ = optimizer.step()
    if not succeeded:
        raise FloatingPointError("the gradient is not finite")
    return _agree(losses, float(norm), batch, mesh, device, stop)


def _forward(micro_batches: Iterator[torch.Tensor], model: Any) -> tuple[torch.Tensor, Any]:
    """Losses [B, S] of the next micro-batch, on the last stage; hidden states on the others."""
    tokens = next(micro_batches)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    positions = torch.arange(inputs.shape[1], device=inputs.device).expand_as(inputs)
    return model(inputs, positions, None, labels=targets), _sum_of_losses


def _sum_of_losses(losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    tokens = torch.tensor(losses.numel(), dtype=torch.int, device=losses.device)
    # What is reported is summed in float64, so that it does not depend on how the batch was cut.
    return losses.float().sum(), tokens, {"sum": losses.detach().double().sum()}


def _on_device(sequences: np.ndarray, device: torch.device) -> Iterator[torch.Tensor]:
    for micro_batch in sequences:
        yield torch.from_numpy(micro_batch).to(device, non_blocking=True)


def _agree(losses: list[dict[str, torch.Tensor]], norm: float, batch: Batch, mesh: Mesh, device: torch.device, stop: bool) -> StepResult:
    """One small exchange over all ranks. Each number is contributed once per replica; float64 holds the 40-bit hashes' sum exactly."""
    total = sum(float(part["sum"]) for part in losses) if mesh.is_last_stage and mesh.tensor_rank == 0 else 0.0
    reads = mesh.is_first_stage and mesh.tensor_rank == 0
    tokens = batch.sequences.shape[0] * batch.sequences.shape[1] * (batch.sequences.shape[2] - 1)
    facts = [total, float(tokens if reads else 0), float(batch.hash if reads else 0), float(stop)]
    shared = torch.tensor(facts, dtype=torch.float64, device=device)
    dist.all_reduce(shared)
    loss_sum, all_tokens, hashes, stops = shared.tolist()
    return StepResult(loss_sum / all_tokens, norm, int(all_tokens), f"{int(hashes) % (1 << 40):010x}", stops > 0)
