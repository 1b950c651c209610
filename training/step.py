"""One global batch: forward and backward, what all ranks agree on about it, and the update, which is a call of its own so that it can be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from megatron.core.distributed import finalize_model_grads
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.optimizer.clip_grads import clip_grad_by_total_norm_fp32
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer import TransformerConfig

from training.attention import document_borders
from training.batch import Batch
from training.model import Model
from training.optimizer import Replica
from training.parallel import Mesh, own_stretches

type MicroBatch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SourceLoss:
    """Losses of one source in a global batch: their sum in nats, and the tokens that were counted."""

    total: float
    tokens: int


@dataclass(frozen=True)
class StepResult:
    """What all ranks know of a global batch before its update: the same numbers on each of them, but for `token_losses`.

    `loss` is the mean over the counted tokens, in nats; `gradient_norm` is that before clipping, and not finite where any part of the gradient is
    not. `tokens` are the positions of the batch. `votes` are sums over ranks of what each one put in.
    """

    loss: float
    gradient_norm: float
    tokens: int
    squared_lengths: int
    sources: tuple[SourceLoss, ...]
    """In the order of `Plan.sources`."""
    batch_hash: str
    votes: dict[str, float]
    token_losses: list[torch.Tensor] | None
    """On the last pipeline stage: this rank's losses [B, S] of each micro-batch, before `counted` is applied."""


def connect_gradients(transformer: TransformerConfig, optimizer: MegatronOptimizer) -> None:
    """Tell the schedule how to finish gradients: sum over replicas, over sequence shards and tied embeddings, and divide by the tokens."""
    transformer.finalize_model_grads_func = finalize_model_grads
    transformer.grad_scale_func = optimizer.scale_loss


def compute_gradients(
    model: Replica,
    optimizer: MegatronOptimizer,
    batch: Batch,
    mesh: Mesh,
    device: torch.device,
    *,
    sources: int,
    votes: Mapping[str, float],
) -> StepResult:
    """Forward and backward over the batch, and one small exchange; no weight moves. `votes` has the same keys on every rank."""
    model.zero_grad_buffer()
    optimizer.zero_grad()
    parts = run_schedule(model, batch, device, sources=sources, forward_only=False)
    failed = optimizer.prepare_grads()
    norm = float("inf") if failed else float(optimizer.get_grad_norm())
    return _agree(parts, norm, batch, mesh, device, sources, votes)


def apply_update(optimizer: MegatronOptimizer, gradient_norm: float, clip_norm: float) -> None:
    """Clip the gradients that `compute_gradients` left, and take the step."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        weights = part.get_parameters()
        if weights:
            clip_grad_by_total_norm_fp32(weights, clip_norm, gradient_norm)
    if not optimizer.step_with_ready_grads():
        raise RuntimeError("the optimizer did not take its step")


def run_schedule(model: Replica | Model, batch: Batch, device: torch.device, *, sources: int, forward_only: bool) -> list[dict[str, torch.Tensor]]:
    """What the loss function leaves of each micro-batch on the last stage: `sources` float64 [2, sources] (losses, counted tokens) and `losses` [B, S]."""
    micro_batches, sequences, length = batch.tokens.shape
    return get_forward_backward_func()(
        forward_step_func=partial(_forward, sources=sources),
        # The pipeline's schedule takes micro-batches for each stretch of layers on this rank.
        data_iterator=[_on_device(batch, device) for _ in model],
        model=list(model),
        num_microbatches=micro_batches,
        seq_length=length,
        micro_batch_size=sequences,
        forward_only=forward_only,
    )


def _forward(micro_batches: Iterator[MicroBatch], model: Any, *, sources: int) -> tuple[torch.Tensor, Any]:
    """Losses [B, S] of the next micro-batch, on the last stage; hidden states on the others."""
    batch = next(micro_batches)
    tokens = batch["tokens"]
    positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    return model(tokens, positions, batch.get("borders"), labels=batch["targets"]), partial(_sum_losses, batch=batch, sources=sources)


def _sum_losses(losses: torch.Tensor, *, batch: MicroBatch, sources: int) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    counted = batch["counted"]
    wanted = torch.where(counted, losses.float(), 0.0)
    # What is reported is summed in float64, so that it does not depend on how the batch was cut.
    each = torch.stack([wanted.detach().double().sum(1), counted.double().sum(1)])
    by_source = torch.zeros(2, sources, dtype=torch.float64, device=losses.device).index_add_(1, batch["sources"], each)
    return wanted.sum(), counted.sum(dtype=torch.int), {"sources": by_source, "losses": losses.detach()}


def _on_device(batch: Batch, device: torch.device) -> Iterator[MicroBatch]:
    """Where ranks share sequences, tokens, targets and `counted` are this rank's part of them, and so are the losses; the others are of whole sequences."""
    for micro_batch in range(len(batch.tokens)):
        arrays = {"tokens": batch.tokens, "targets": batch.targets, "counted": batch.counted}
        shared = {name: own_stretches(torch.from_numpy(array[micro_batch])) for name, array in arrays.items()}
        whole = {"sources": torch.from_numpy(batch.sources[micro_batch])}
        if batch.documents is not None:
            whole["borders"] = torch.from_numpy(document_borders(batch.documents[micro_batch]))
        yield {name: tensor.to(device, non_blocking=True) for name, tensor in {**shared, **whole}.items()}


def _agree(
    parts: list[dict[str, torch.Tensor]], norm: float, batch: Batch, mesh: Mesh, device: torch.device, sources: int, votes: Mapping[str, float]
) -> StepResult:
    """One exchange over all ranks. Each number is contributed once per replica; float64 holds the 40-bit hashes' sum exactly."""
    counts = mesh.is_last_stage and mesh.tensor_rank == 0
    by_source = sum((part["sources"] for part in parts), torch.zeros(2, sources, dtype=torch.float64, device=device)) if counts else None
    # The norm is one rank's, so that every rank decides on the same bits; a rank that has another, unusable one says so.
    facts = [norm if mesh.rank == 0 else 0.0 if norm < float("inf") else norm]
    facts += [float(number if mesh.reads else 0) for number in (batch.tokens.size, batch.squared_lengths, batch.hash)]
    facts += [float(vote) for vote in votes.values()]
    shared = torch.cat([torch.tensor(facts, dtype=torch.float64), torch.zeros(2 * sources, dtype=torch.float64)]).to(device)
    if by_source is not None:
        shared[len(facts) :] = by_source.flatten()
    dist.all_reduce(shared)
    numbers = shared.tolist()
    (norm, tokens, squared_lengths, hashes), said, losses = numbers[:4], numbers[4 : len(facts)], numbers[len(facts) :]
    return StepResult(
        loss=sum(losses[:sources]) / max(1.0, sum(losses[sources:])),
        gradient_norm=norm,
        tokens=int(tokens),
        squared_lengths=int(squared_lengths),
        sources=tuple(SourceLoss(total, int(count)) for total, count in zip(losses[:sources], losses[sources:], strict=True)),
        batch_hash=f"{int(hashes) % (1 << 40):010x}",
        votes=dict(zip(votes, said, strict=True)),
        token_losses=[part["losses"] for part in parts] if mesh.is_last_stage else None,
    )
