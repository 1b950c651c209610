"""Masked language modelling (BERT, arXiv 1810.04805, section 3.1): the model sees some tokens hidden, and has to say
what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.objectives.draws import uniforms
from training.reading.batch import Batch
from training.settings.objective import MaskedConfig


def hide_tokens(batch: Batch, config: MaskedConfig, mask_id: int, ordinary: np.ndarray, *, seed: int) -> Batch:
    """The batch with hidden tokens in `tokens`, every token's own id in `targets`, and the chosen ones in `counted`;
    shapes and hash stay.

    `ordinary` int64 [N] are the ids that stand for text: only these are chosen, and random tokens come from them.
    """
    sequences, length = batch.tokens.shape[0] * batch.tokens.shape[1], batch.tokens.shape[2]
    stored = batch.tokens.reshape(sequences, length)
    draws = np.stack(
        [
            uniforms(3 * length, seed=seed, batch=batch.index, row=batch.first_row + row).reshape(3, length)
            for row in range(sequences)
        ],
        1,
    )
    chosen = (draws[0] < config.rate) & np.isin(stored, ordinary)
    masked = chosen & (draws[1] < config.mask_share)
    replaced = chosen & ~masked & (draws[1] < config.mask_share + config.random_share)
    tokens = np.where(
        masked, mask_id, np.where(replaced, ordinary[(draws[2] * len(ordinary)).astype(np.int64)], stored)
    )
    shape = batch.tokens.shape
    return replace(batch, tokens=tokens.reshape(shape), targets=batch.tokens, counted=chosen.reshape(shape))
