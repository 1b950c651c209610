"""The attention core, our own: by torch's fused kernels on any device, with documents kept apart, and with sequences
shared between ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.tensor_parallel.mappings import gather_from_sequence_parallel_region
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule
from torch.nn.attention.bias import causal_lower_right

from training.megatron.borders import borders_between, same_document
from training.megatron.parallel import stretches_of


class Attention(MegatronModule):
    """softmax(Q K^T scale, masked) V. Heads are shared by tensor-parallel ranks, so that there is nothing to
    exchange but for context ranks.

    A context rank has the queries of two stretches of each sequence. It fetches the keys and values of all ranks,
    which are few where query heads share them, and attends from each stretch to those up to the stretch's end.
    """

    def __init__(
        self,
        config: TransformerConfig,
        layer_number: int,
        attn_mask_type: AttnMaskType,
        attention_type: str,
        **arguments: Any,
    ) -> None:
        super().__init__(config=config)
        self.scale = arguments.get("softmax_scale")
        self.causal = attn_mask_type is AttnMaskType.causal
        self.context = arguments["pg_collection"].cp

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None, **_: Any
    ) -> torch.Tensor:
        """Query [S, B, heads, D], key and value [S, B, groups, D], to [S, B, heads x D].

        `attention_mask` is None, or the `document_borders` of the micro-batch. Where ranks share sequences, S is
        this rank's part of them, and the borders are those of whole sequences.
        """
        rank, ranks = self.context.rank(), self.context.size()
        if ranks == 1:
            out = self._attend(query, 0, key, value, attention_mask)
        else:
            key, value = (_whole_sequences(part, self.context) for part in (key, value))
            stretches = query.chunk(2)
            firsts = stretches_of(torch.arange(0, len(key), len(stretches[0])), rank, ranks).tolist()
            out = torch.cat(
                [
                    self._attend(stretch, first, key, value, attention_mask)
                    for stretch, first in zip(stretches, firsts, strict=True)
                ]
            )
        return out.reshape(*query.shape[:2], -1)

    def _attend(
        self, query: torch.Tensor, first: int, key: torch.Tensor, value: torch.Tensor, borders: torch.Tensor | None
    ) -> torch.Tensor:
        """Queries [Q, B, heads, D] of the places from `first` on, and keys and values of whole sequences, to [Q, B,
        heads, D]."""
        length, own = len(key), range(first, first + len(query))
        if self.causal:
            key, value = key[: own.stop], value[: own.stop]
        if borders is None:
            return _fused(
                query, key, value, causal_lower_right(len(query), len(key)) if self.causal else None, self.scale
            )
        seen = range(len(key))
        if _has_document_kernel(query):
            parts = (borders_between(borders, length, places) for places in (own, seen))
            return _by_document(query, key, value, *parts, causal=self.causal, scale=self.scale)
        return _fused(query, key, value, same_document(borders, length, own, seen, self.causal)[:, None], self.scale)

    def sharded_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}


def _fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, allowed: torch.Tensor | None, scale: float | None
) -> torch.Tensor:
    q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale, enable_gqa=q.size(1) != k.size(1))
    return out.permute(2, 0, 1, 3)


def _has_document_kernel(query: torch.Tensor) -> bool:
    """Torch's kernels for stretches of any length need a GPU and 16-bit numbers; elsewhere documents are kept apart
    by a mask."""
    return query.is_cuda and query.dtype in (torch.bfloat16, torch.float16)


def _by_document(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    own: torch.Tensor,
    seen: torch.Tensor,
    *,
    causal: bool,
    scale: float | None,
) -> torch.Tensor:
    """Documents have the borders `own` in the queries, and `seen` in the keys, which end with the same token."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (tensor.transpose(0, 1).flatten(0, 1) for tensor in (query, key, value))
    # The longest document is not known without waiting for the device; a sequence is never shorter.
    window = (-1, 0) if causal else (-1, -1)
    out = varlen_attn(
        q, k, v, own, seen, len(query), len(key), scale=scale, window_size=window, enable_gqa=q.size(1) != k.size(1)
    )
    return out.unflatten(0, (query.shape[1], -1)).transpose(0, 1)


def _whole_sequences(part: torch.Tensor, group: torch.distributed.ProcessGroup) -> torch.Tensor:
    """Parts [S / ranks, B, groups, D] of all context ranks in the order of the sequence; backward sums the gradients
    of each part over the ranks."""
    ranks = group.size()
    gathered = gather_from_sequence_parallel_region(part.contiguous(), group=group)
    length = gathered.shape[0]
    found = torch.cat([stretches_of(torch.arange(length, device=part.device), rank, ranks) for rank in range(ranks)])
    return gathered.index_select(0, found.argsort())
