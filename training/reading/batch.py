"""A rank's slice of a global batch, as the reader hands it to the step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Batch:
    """Sequences of S tokens in M micro-batches of B; `first_row` is the place of the first of them in the global batch.

    `targets` are what follows each token where it is stored. `counted` says which of them the loss counts.
    `documents` numbers the documents of each sequence from 0; it is None where attention may cross their boundaries.
    `sources` index `Plan.sources`. `hash` is a sum over the sequences of hashes of their place in the global batch
    and their tokens: summed over ranks it is the same for every layout.
    """

    index: int
    first_row: int
    tokens: np.ndarray
    """int64 [M, B, S]"""
    targets: np.ndarray
    """int64 [M, B, S]"""
    counted: np.ndarray
    """bool [M, B, S]"""
    documents: np.ndarray | None
    """int32 [M, B, S]"""
    sources: np.ndarray
    """int64 [M, B]"""
    hash: int
    waited_seconds: float = 0.0
    withdrawn: np.ndarray | None = None
    """bool [2, M, B, S]: which tokens and which targets are withdrawn and still to be hidden; None where none are"""

    @property
    def squared_lengths(self) -> int:
        """Sum over the sequences, or over the documents that are kept apart, of length squared: what attention
        costs."""
        sequences = self.tokens.reshape(-1, self.tokens.shape[-1])
        if self.documents is None:
            return sequences.size * sequences.shape[1]
        # A document is named by its sequence and its number there.
        named = np.arange(len(sequences))[:, None] * sequences.shape[1] + self.documents.reshape(sequences.shape)
        return int(np.sum(np.unique(named, return_counts=True)[1].astype(np.int64) ** 2))


def hide_withdrawn(batch: Batch, end_of_document_id: int) -> Batch:
    """The batch without what is withdrawn: ends of documents stand in its place, and no loss is counted where a
    position or its target was. It comes after the objective, so that what the objective makes of all else stays."""
    if batch.withdrawn is None:
        return batch
    tokens, targets, hidden = hidden_arrays(batch.tokens, batch.targets, *batch.withdrawn, end_of_document_id)
    return replace(batch, tokens=tokens, targets=targets, counted=batch.counted & ~hidden, withdrawn=None)


def hidden_arrays(
    tokens: np.ndarray, targets: np.ndarray, out: np.ndarray, target_out: np.ndarray, end_of_document_id: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens and targets of the same type with `end_of_document_id` in place of what is out, and where nothing is to
    be learned; all of one shape."""
    hidden, end = out | target_out, tokens.dtype.type(end_of_document_id)
    return np.where(out, end, tokens), np.where(hidden, end, targets), hidden
