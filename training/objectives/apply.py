"""The objective of a run as one function from a batch as stored to a batch as learned from, and a reader that
applies it."""

from __future__ import annotations

import numpy as np

from training.config import TrainingConfig
from training.objectives.fill_in_the_middle import Sentinels, fill_in_the_middle
from training.objectives.masked import hide_tokens
from training.objectives.special_tokens import special_ids
from training.order.plan import Plan
from training.reading.delta_tokens import Tokenizer, TokenTable
from training.reading.loader import BatchReader, Objective
from training.reading.token_bytes import bytes_of_tokens


def objective_reader(config: TrainingConfig, plan: Plan, table: TokenTable, *, rank: int, ranks: int) -> BatchReader:
    """Of each global batch the slice of data-parallel rank `rank` of `ranks`, as the run learns from it."""
    return BatchReader(plan, table, rank=rank, ranks=ranks, objective=build_objective(config, table.tokenizer))


def build_objective(config: TrainingConfig, tokenizer: Tokenizer) -> Objective:
    """A pure function of the batch and its place in the plan; `UsageError` where the vocabulary has no room for what
    it needs."""
    objective, size = config.objective, tokenizer.vocabulary_size
    ids = special_ids(
        objective, tokenizer.definition, vocabulary_size=size, padded_vocabulary=config.model.padded_vocabulary(size)
    )
    if objective.kind == "fill_in_the_middle":
        sentinels, end = Sentinels(*ids), tokenizer.end_of_document_id
        return lambda batch: fill_in_the_middle(
            batch, objective.fill_in_the_middle, sentinels, end_of_document_id=end, seed=objective.seed
        )
    if objective.kind == "masked":
        (mask_id,), ordinary = ids, np.flatnonzero(bytes_of_tokens(tokenizer.definition))
        return lambda batch: hide_tokens(batch, objective.masked, mask_id, ordinary, seed=objective.seed)
    return lambda batch: batch
