"""One global batch: forward and backward, what all ranks agree on about it, and the update, which is a call of its
own so that it can be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core.distributed import finalize_model_grads
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.optimizer.clip_grads import clip_grad_by_total_norm_fp32
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer import TransformerConfig

from training.checkpoints.checkpoint import TrainingState
from training.megatron.borders import document_borders
from training.megatron.model import Model
from training.megatron.optimizer import Replica
from training.megatron.parallel import Mesh, own_stretches
from training.objectives.z_loss import losses_with_z
from training.reading.batch import Batch

type MicroBatch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Trainer:
    """What a step needs besides its batch; `state` is the part that is saved."""

    model: Replica
    optimizer: MegatronOptimizer
    state: TrainingState
    mesh: Mesh
    device: torch.device
    token_bytes: np.ndarray
    """int64 [padded vocabulary]: bytes of text that each token stands for."""
    z_weight: float
    """Of the z-loss; 0 for none."""


@dataclass(frozen=True)
class SourceLoss:
    """Losses of one source in a global batch: their sum in nats, the tokens that were counted, and the bytes of text
    that these stand for."""

    total: float
    tokens: int
    bytes: int


@dataclass(frozen=True)
class StepResult:
    """What all ranks know of a global batch before its update: the same numbers on each of them, but for
    `token_losses`.

    `loss` is the mean over the counted tokens, in nats; `gradient_norm` is that before clipping, and not finite
    where any part of the gradient is not. `tokens` are the positions of the batch. `votes` are sums over ranks of
    what each one put in.
    """

    loss: float
    z_loss: float
    """The weighted z-loss, a mean over the same tokens; it is minimised beside `loss` and no part of it."""
    gradient_norm: float
    tokens: int
    squared_lengths: int
    waited_seconds: float
    """For the reader, on average over ranks."""
    sources: tuple[SourceLoss, ...]
    """In the order of `Plan.sources`."""
    batch_hash: str
    votes: dict[str, float]
    token_losses: list[torch.Tensor] | None
    """On the last pipeline stage: this rank's losses [B, S] of each micro-batch, before `counted` is applied."""


def connect_gradients(transformer: TransformerConfig, optimizer: MegatronOptimizer) -> None:
    """Tell the schedule how to finish gradients: sum over replicas, over sequence shards and tied embeddings, and
    divide by the tokens."""
    transformer.finalize_model_grads_func = finalize_model_grads
    transformer.grad_scale_func = optimizer.scale_loss


def compute_gradients(trainer: Trainer, batch: Batch, *, sources: int, votes: Mapping[str, float]) -> StepResult:
    """Forward and backward over the batch, and one small exchange; no weight moves. `votes` has the same keys on
    every rank."""
    trainer.model.zero_grad_buffer()
    trainer.optimizer.zero_grad()
    parts = run_schedule(
        trainer.model, batch, trainer.device, sources=sources, forward_only=False, z_weight=trainer.z_weight
    )
    failed = trainer.optimizer.prepare_grads()
    norm = float("inf") if failed else float(trainer.optimizer.get_grad_norm())
    sizes = np.bincount(
        batch.sources.ravel(), np.where(batch.counted, trainer.token_bytes[batch.targets], 0).sum(-1).ravel(), sources
    )
    return _agree(parts, norm, batch, sizes, trainer.mesh, trainer.device, votes)


def apply_update(optimizer: MegatronOptimizer, gradient_norm: float, clip_norm: float) -> None:
    """Clip the gradients that `compute_gradients` left, and take the step."""
    for part in getattr(optimizer, "chained_optimizers", [optimizer]):
        weights = part.get_parameters()
        if weights:
            clip_grad_by_total_norm_fp32(weights, clip_norm, gradient_norm)
    if not optimizer.step_with_ready_grads():
        raise RuntimeError("the optimizer did not take its step")


def run_schedule(
    model: Replica | Model,
    batch: Batch,
    device: torch.device,
    *,
    sources: int,
    forward_only: bool,
    z_weight: float = 0.0,
) -> list[dict[str, torch.Tensor]]:
    """What the loss function leaves of each micro-batch on the last stage.

    `sources` float64 [2, sources] (losses, counted tokens), `losses` [B, S], and `z_loss` float64, the weighted sum
    over the counted tokens.
    """
    micro_batches, sequences, length = batch.tokens.shape
    return get_forward_backward_func()(
        forward_step_func=partial(_forward, sources=sources, z_weight=z_weight),
        # The pipeline's schedule takes micro-batches for each stretch of layers on this rank.
        data_iterator=[_on_device(batch, device) for _ in model],
        model=list(model),
        num_microbatches=micro_batches,
        seq_length=length,
        micro_batch_size=sequences,
        forward_only=forward_only,
    )


def _forward(
    micro_batches: Iterator[MicroBatch], model: Any, *, sources: int, z_weight: float
) -> tuple[torch.Tensor, Any]:
    """Losses [B, S] of the next micro-batch, with log Z [2, B, S] where it is asked for, on the last stage; hidden
    states on the others."""
    batch = next(micro_batches)
    tokens = batch["tokens"]
    positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    losses = model(
        tokens,
        positions,
        batch.get("borders"),
        labels=batch["targets"],
        output_processor=losses_with_z if z_weight else None,
    )
    return losses, partial(_sum_losses, batch=batch, sources=sources, z_weight=z_weight)


def _sum_losses(
    losses: torch.Tensor, *, batch: MicroBatch, sources: int, z_weight: float
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    counted = batch["counted"]
    losses, log_z = losses if z_weight else (losses, torch.zeros((), device=losses.device))
    z_loss = z_weight * torch.where(counted, log_z, 0.0).square()
    wanted = torch.where(counted, losses.float(), 0.0)
    # What is reported is summed in float64, so that it does not depend on how the batch was cut.
    each = torch.stack([wanted.detach().double().sum(1), counted.double().sum(1)])
    by_source = torch.zeros(2, sources, dtype=torch.float64, device=losses.device).index_add_(1, batch["sources"], each)
    reported = {"sources": by_source, "losses": losses.detach(), "z_loss": z_loss.detach().double().sum()}
    return wanted.sum() + z_loss.sum(), counted.sum(dtype=torch.int), reported


def _on_device(batch: Batch, device: torch.device) -> Iterator[MicroBatch]:
    """Where ranks share sequences, tokens, targets and `counted` are this rank's part of them, and so are the
    losses; the others are of whole sequences."""
    for micro_batch in range(len(batch.tokens)):
        arrays = {"tokens": batch.tokens, "targets": batch.targets, "counted": batch.counted}
        shared = {name: own_stretches(torch.from_numpy(array[micro_batch])) for name, array in arrays.items()}
        whole = {"sources": torch.from_numpy(batch.sources[micro_batch])}
        if batch.documents is not None:
            whole["borders"] = torch.from_numpy(document_borders(batch.documents[micro_batch]))
        yield {name: tensor.to(device, non_blocking=True) for name, tensor in {**shared, **whole}.items()}


def _agree(
    parts: list[dict[str, torch.Tensor]],
    norm: float,
    batch: Batch,
    sizes: np.ndarray,
    mesh: Mesh,
    device: torch.device,
    votes: Mapping[str, float],
) -> StepResult:
    """One exchange over all ranks. Each number is contributed once per replica; float64 holds the 40-bit hashes' sum
    exactly.

    `sizes` are the bytes of text of each source's counted targets.
    """
    sources = len(sizes)
    counts = mesh.is_last_stage and mesh.tensor_rank == 0
    by_source = (
        sum((part["sources"] for part in parts), torch.zeros(2, sources, dtype=torch.float64, device=device))
        if counts
        else None
    )
    # The norm is one rank's, so that every rank decides on the same bits; a rank that has another, unusable one says
    # so.
    facts = [norm if mesh.rank == 0 else 0.0 if norm < float("inf") else norm]
    facts += [float(number if mesh.reads else 0) for number in (batch.tokens.size, batch.squared_lengths, batch.hash)]
    facts += [batch.waited_seconds / mesh.world_size, sum(float(part["z_loss"]) for part in parts) if counts else 0.0]
    facts += [float(vote) for vote in votes.values()]
    facts += (sizes if mesh.reads else np.zeros(sources)).tolist()
    shared = torch.cat([torch.tensor(facts, dtype=torch.float64), torch.zeros(2 * sources, dtype=torch.float64)]).to(
        device
    )
    if by_source is not None:
        shared[len(facts) :] = by_source.flatten()
    dist.all_reduce(shared)
    numbers = shared.tolist()
    (norm, tokens, squared_lengths, hashes, waited, z_loss), said = numbers[:6], numbers[6 : 6 + len(votes)]
    text, losses, counted = (numbers[len(facts) + start * sources :][:sources] for start in (-1, 0, 1))
    return StepResult(
        loss=sum(losses) / max(1.0, sum(counted)),
        z_loss=z_loss / max(1.0, sum(counted)),
        gradient_norm=norm,
        tokens=int(tokens),
        squared_lengths=int(squared_lengths),
        waited_seconds=waited,
        sources=tuple(
            SourceLoss(total, int(count), int(size)) for total, count, size in zip(losses, counted, text, strict=True)
        ),
        batch_hash=f"{int(hashes) % (1 << 40):010x}",
        votes=dict(zip(votes, said, strict=True)),
        token_losses=[part["losses"] for part in parts] if mesh.is_last_stage else None,
    )
