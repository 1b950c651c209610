"""Measure every signal on every extracted document, those of models where a model is given; nothing is decided here.

A changed threshold then costs one scan of numbers, never another pass over the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from spark_jobs.kernels.measures.bad_words import bad_word_files, load_bad_words
from spark_jobs.kernels.measures.spacy_words import ANY_LANGUAGE, split_words_by_spacy
from spark_jobs.kernels.measures.words import split_words
from spark_jobs.kernels.models.document_scorer import (
    DocumentScorer,
    ModelsConfig,
    load_scorer,
    model_files,
    require_models_present,
)
from spark_jobs.lake.batches import batch_of_rows, map_batches
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE, measure


class Config(configuration.Config):
    """What to measure with. Every signal that needs no model is always measured."""

    models: ModelsConfig = ModelsConfig()
    """Models that score documents."""

    @model_validator(mode="after")
    def models_are_there(self) -> Config:
        """A model that is missing is told when the pipeline file is read, not after hours of extraction."""
        require_models_present(self.models)
        return self

    words: Literal["fast", "spacy"] = "fast"
    """What splits a text into words: rules, or spaCy's tokenizer for the document's language, as datatrove does, at
    ten times the cost."""
    bad_words: Path | None = None
    """Folder of lists of bad words, one file a language; without it `c4.bad_words` is null. Workers need the files
    at the same path."""


def transform(documents: DataFrame, *, config: Config) -> DataFrame:
    """One row for each extracted document; only ids, languages and texts go to the Python workers."""
    texts = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "language", "text")
    models = config.models.model_dump_json()
    return map_batches(texts, lambda batch: measure_batch(batch, load_scorer(models), config), SIGNALS_TABLE)


def measure_batch(batch: pa.RecordBatch, scorer: DocumentScorer, config: Config) -> pa.RecordBatch:
    """From columns doc_id, crawl, language and text to the columns of `signals`."""
    names = ("doc_id", "crawl", "text", "language")
    documents = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    bad_words = load_bad_words(str(config.bad_words)) if config.bad_words is not None else None
    rows = []
    for doc_id, crawl, text, language in documents:
        scores = scorer.score(text, language)
        if bad_words is not None:
            scores = replace(scores, bad_words=bad_words.count(text, language))
        split = (
            partial(split_words_by_spacy, language=language or ANY_LANGUAGE) if config.words == "spacy" else split_words
        )
        rows.append((doc_id, crawl, *measure(text, scores, split)))
    return batch_of_rows(rows, SIGNALS_TABLE)


def configured_models(config: Config) -> frozenset[str]:
    """Kinds of model that are given: a policy may limit the signals of these and of no others, for the rest are
    null."""
    return config.models.kinds() | (frozenset() if config.bad_words is None else {"bad_words"})


def used_models(config: Config) -> Mapping[str, str]:
    """Each file that the scores depend on, with its SHA-256, for the ledger."""
    return model_files(config.models) | (bad_word_files(config.bad_words) if config.bad_words is not None else {})


STAGE = Stage(
    name="score_signals",
    reads=(DOCUMENTS,),
    writes=SIGNALS_TABLE,
    config=Config,
    transform=transform,
    models=used_models,
)
