"""The attention core, our own: by torch's fused kernels on any device, with documents kept apart, and with sequences shared between ranks.

What says which tokens are one document is a single tensor for every kernel: the borders of the documents in the micro-batch, laid end to end.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from megatron.core.tensor_parallel.mappings import gather_from_sequence_parallel_region
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.enums import AttnMaskType
from megatron.core.transformer.module import MegatronModule

from training.megatron.parallel import stretches_of


def document_borders(documents: np.ndarray) -> np.ndarray:
    """Where documents begin when the rows of `documents` [B, S] are laid end to end, and at last B x S: int32 [n + 1]."""
    begins = np.ones(documents.shape, bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return np.append(np.flatnonzero(begins), documents.size).astype(np.int32)


class Attention(MegatronModule):
    """softmax(Q K^T scale, masked) V. Heads are shared by tensor-parallel ranks, so that there is nothing to exchange but for context ranks."""

    def __init__(self, config: TransformerConfig, layer_number: int, attn_mask_type: AttnMaskType, attention_type: str, **arguments: Any) -> None:
        super().__init__(config=config)
        self.scale = arguments.get("softmax_scale")
        self.causal = attn_mask_type is AttnMaskType.causal
        self.context = arguments["pg_collection"].cp

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None, **_: Any) -> torch.Tensor:
        """Query [S, B, heads, D], key and value [S, B, groups, D], to [S, B, heads x D].

        `attention_mask` is None, or the `document_borders` of the micro-batch. Where ranks share sequences, S is this rank's part of them,
        and the borders are those of whole sequences.
        """
        if self.context.size() > 1:
            out = self._shared(query, key, value, attention_mask)
        elif attention_mask is None:
            out = _fused(query, key, value, None, self.causal, self.scale)
        elif _has_document_kernel(query):
            out = _by_document(query, key, value, attention_mask, self.causal, self.scale)
        else:
            places = torch.arange(query.shape[0], device=query.device)
            out = _fused(query, key, value, _allowed(places, query.shape[0], query.shape[1], attention_mask, self.causal), False, self.scale)
        return out.reshape(*query.shape[:2], -1)

    def _shared(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, borders: torch.Tensor | None) -> torch.Tensor:
        """Own queries, and the keys and values of all context ranks: they are few where query heads share them, and one exchange brings them."""
        ranks = self.context.size()
        whole = partial(_whole_sequences, group=self.context)
        length = query.shape[0] * ranks
        places = stretches_of(torch.arange(length, device=query.device), self.context.rank(), ranks)
        return _fused(query, whole(key), whole(value), _allowed(places, length, query.shape[1], borders, self.causal), False, self.scale)

    def sharded_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}


def _fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, allowed: torch.Tensor | None, causal: bool, scale: float | None) -> torch.Tensor:
    q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=causal, scale=scale, enable_gqa=q.size(1) != k.size(1))
    return out.permute(2, 0, 1, 3)


def _allowed(places: torch.Tensor, length: int, sequences: int, borders: torch.Tensor | None, causal: bool) -> torch.Tensor | None:
    """Which of the `length` keys each of the queries at `places` may see: bool, broadcastable to [B, heads, queries, keys]; None for all."""
    keys = torch.arange(length, device=places.device)
    allowed = (keys <= places[:, None])[None, None] if causal else None
    if borders is not None:
        tokens = torch.arange(sequences * length, dtype=borders.dtype, device=places.device)
        documents = torch.searchsorted(borders, tokens, right=True).view(sequences, length)
        same = (documents[:, places, None] == documents[:, None, :])[:, None]
        allowed = same if allowed is None else allowed & same
    return allowed


def _has_document_kernel(query: torch.Tensor) -> bool:
    """Torch's kernels for stretches of any length need a GPU and 16-bit numbers; elsewhere documents are kept apart by a mask."""
    return query.is_cuda and query.dtype in (torch.bfloat16, torch.float16)


def _by_document(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, borders: torch.Tensor, causal: bool, scale: float | None) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    sequence, batch = query.shape[:2]
    q, k, v = (tensor.transpose(0, 1).reshape(sequence * batch, *tensor.shape[2:]) for tensor in (query, key, value))
    # The longest document is not known without waiting for the device; a sequence is never shorter.
    window = (-1, 0) if causal else (-1, -1)
    out = varlen_attn(q, k, v, borders, borders, sequence, sequence, scale=scale, window_size=window, enable_gqa=q.size(1) != k.size(1))
    return out.view(batch, sequence, *out.shape[1:]).transpose(0, 1)


def _whole_sequences(part: torch.Tensor, group: torch.distributed.ProcessGroup) -> torch.Tensor:
    """Parts [S / ranks, B, groups, D] of all context ranks in the order of the sequence; backward sums the gradients of each part over the ranks."""
    ranks = group.size()
    gathered = gather_from_sequence_parallel_region(part.contiguous(), group=group)
    length = gathered.shape[0]
    found = torch.cat([stretches_of(torch.arange(length, device=part.device), rank, ranks) for rank in range(ranks)])
    return gathered.index_select(0, found.argsort())
