"""The objective of a run as one function from a batch as stored to a batch as learned from, and a reader that applies it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.objectives.fill_in_the_middle import Sentinels, fill_in_the_middle
from training.objectives.masked import hide_tokens
from training.objectives.special_tokens import special_ids
from training.reading.batch import Batch
from training.reading.delta_tokens import Tokenizer
from training.reading.loader import Reader
from training.reading.token_bytes import bytes_of_tokens
from training.settings.objective import ObjectiveConfig

type Objective = Callable[[Batch], Batch]


class ObjectiveReader:
    """Reads batches as the model learns from them, in whatever thread reads."""

    def __init__(self, reader: Reader, objective: Objective) -> None:
        self._reader, self._objective = reader, objective

    def read(self, index: int) -> Batch:
        return self._objective(self._reader.read(index))

    def again(self) -> ObjectiveReader:
        """Another reader of the same, for another thread."""
        return ObjectiveReader(self._reader.again(), self._objective)


def build_objective(config: ObjectiveConfig, tokenizer: Tokenizer, padded_vocabulary: int) -> Objective:
    """A pure function of the batch and its place in the plan; `UsageError` where the vocabulary has no room for what it needs."""
    ids = special_ids(config, tokenizer.definition, vocabulary_size=tokenizer.vocabulary_size, padded_vocabulary=padded_vocabulary)
    if config.kind == "fill_in_the_middle":
        sentinels, end = Sentinels(*ids), tokenizer.end_of_document_id
        return lambda batch: fill_in_the_middle(batch, config.fill_in_the_middle, sentinels, end_of_document_id=end, seed=config.seed)
    if config.kind == "masked":
        (mask_id,), ordinary = ids, np.flatnonzero(bytes_of_tokens(tokenizer.definition))
        return lambda batch: hide_tokens(batch, config.masked, mask_id, ordinary, seed=config.seed)
    return lambda batch: batch
