"""The borders of packed documents, which say to every kernel of attention what is one document: a single tensor, for
whole sequences and parts of them."""

from __future__ import annotations

import numpy as np
import torch


def document_borders(documents: np.ndarray) -> np.ndarray:
    """Where documents begin when the rows of `documents` [B, S] are laid end to end, and at last B x S: int32 [n +
    1]."""
    begins = np.ones(documents.shape, bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return np.append(np.flatnonzero(begins), documents.size).astype(np.int32)


def borders_between(borders: torch.Tensor, length: int, places: range) -> torch.Tensor:
    """The borders where only `places` of each sequence of `length` are laid end to end. A document that has none of
    them stays, without length."""
    if len(places) == length:
        return borders
    return borders // length * len(places) + (borders % length).clamp(places.start, places.stop) - places.start


def same_document(borders: torch.Tensor, length: int, queries: range, keys: range, causal: bool) -> torch.Tensor:
    """Which of the keys at the places `keys` of each sequence of `length` each of the queries may see: bool [B, Q,
    K]."""
    sequences = torch.arange(int(borders[-1]), dtype=borders.dtype, device=borders.device).view(-1, length)
    documents = torch.searchsorted(borders, sequences, right=True)
    same = documents[:, queries.start : queries.stop, None] == documents[:, None, keys.start : keys.stop]
    return same.tril(queries.start - keys.start) if causal else same
