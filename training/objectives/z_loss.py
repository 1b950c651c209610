"""Cross entropy, and beside it the z-loss, which keeps the softmax's denominator Z near 1 (PaLM, arXiv 2204.02311,
section 5).

Cross entropy is log Z - (logit of the target), so log Z is the cross entropy plus that logit. Both are
differentiable with the vocabulary split over tensor-parallel ranks, and the sum of their gradients is that of log Z,
the softmax.
"""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.tensor_parallel import reduce_from_tensor_model_parallel_region
from megatron.core.tensor_parallel.utils import VocabUtility


def losses_with_z(
    *,
    hidden_states: torch.Tensor,
    output_layer: Any,
    output_weight: torch.Tensor | None,
    labels: torch.Tensor,
    compute_language_model_loss: Any,
    scale_logits: Any,
    runtime_gather_output: bool | None = None,
    **_: Any,
) -> torch.Tensor:
    """An `output_processor` of GPTModel: hidden states of the last layer and labels [B, S] to [2, B, S], cross
    entropy and log Z, in nats."""
    logits, _bias = output_layer(hidden_states, weight=output_weight, runtime_gather_output=runtime_gather_output)
    logits = scale_logits(logits)
    # Before the cross entropy, which overwrites fp32 logits.
    target_logits = logit_of_target(logits, labels.transpose(0, 1), output_layer.tp_group).transpose(0, 1)
    cross_entropy = compute_language_model_loss(labels, logits).float()
    return torch.stack([cross_entropy, cross_entropy + target_logits])


def logit_of_target(logits: torch.Tensor, targets: torch.Tensor, ranks: torch.distributed.ProcessGroup) -> torch.Tensor:
    """From this rank's part of the vocabulary, logits [S, B, V / ranks], and targets [S, B], to [S, B] in fp32 on
    all `ranks` that share it."""
    first, end = VocabUtility.vocab_range_from_per_partition_vocab_size(logits.shape[-1], ranks.rank(), ranks.size())
    elsewhere = (targets < first) | (targets >= end)
    places = (targets - first).masked_fill(elsewhere, 0).flatten()
    # Indexing, unlike `gather`, needs the logits' shape alone for its gradient.
    own = logits.flatten(0, 1)[torch.arange(len(places), device=places.device), places].view_as(targets).float()
    return reduce_from_tensor_model_parallel_region(own.masked_fill(elsewhere, 0.0), group=ranks)
