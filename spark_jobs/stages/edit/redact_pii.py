"""Find what identifies a person in the kept documents, as spans with a placeholder each; what is found is neither
stored nor logged.

`assemble_corpus` applies the spans, so the text of `documents` stays as it was and another choice of kinds costs no
new extraction. Off unless `enabled`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.spans import PII_SPANS
from spark_jobs.kernels.privacy.pii import DEFAULT_REGIONS, Found, PiiDetector, placeholders
from spark_jobs.kernels.privacy.pii_context import Kind
from spark_jobs.kernels.privacy.pii_names import NameFinder, model_digest
from spark_jobs.kernels.privacy.pii_patterns import KINDS
from spark_jobs.lake.batches import batch_of_rows, map_batches
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.edit.kept_texts import kept_texts


class Config(configuration.Config):
    """What is taken out of kept documents, and what takes its place."""

    enabled: bool = False
    """Whether anything is; needs the packages of `headwater[pii]` on the workers."""
    kinds: tuple[Kind, ...] = KINDS
    """What is looked for by its form: addresses, numbers with checksums, telephone numbers."""
    regions: tuple[str, ...] = Field(default=DEFAULT_REGIONS, min_length=1)
    """Countries (ISO 3166) whose telephone numbers are recognised as they are written at home; with a `+` those of
    all countries are."""
    numbered: bool = True
    """`<EMAIL_1>`, `<EMAIL_2>`: equal values in a document get equal placeholders, different ones different ones;
    false gives `<EMAIL>` for each."""
    ner_model: Path | None = None
    """Folder of a spaCy model that finds names and addresses, the same on all workers; none unless given."""
    ner_labels: dict[str, str] = Field(default={"PERSON": "person", "PER": "person", "ADDRESS": "address"})
    """Labels of that model, and what each becomes; its other labels stay in the text."""
    ner_languages: tuple[str, ...] = ()
    """Languages of the documents that the model reads; empty for all."""

    @model_validator(mode="after")
    def finds_something(self) -> Config:
        if self.enabled and not self.kinds and self.ner_model is None:
            raise ValueError("enabled, but neither kinds nor a ner_model says what to look for")
        return self


def transform(documents: DataFrame, decisions: DataFrame, *, config: Config) -> DataFrame:
    texts = kept_texts(documents, decisions, "doc_id", "crawl", "language", "text")
    return map_batches(texts, partial(find_in_batch, config=config), PII_SPANS)


def find_in_batch(batch: pa.RecordBatch, config: Config) -> pa.RecordBatch:
    """Rows of `pii_spans` for a batch with columns doc_id, crawl, language and text."""
    detector = _detector(config.kinds, config.regions)
    names = _name_finder(config.ner_model, tuple(config.ner_labels.items())) if config.ner_model is not None else None
    rows = []
    for document in batch.to_pylist():
        text, language = document["text"], document["language"]
        found = detector.find(text)
        if names is not None and (not config.ner_languages or language in config.ner_languages):
            found = _with_names(found, names.find(text))
        for item, replacement in zip(found, placeholders(text, found, numbered=config.numbered), strict=True):
            rows.append((document["doc_id"], document["crawl"], "pii", item.kind, item.start, item.end, replacement))
    return batch_of_rows(rows, PII_SPANS)


def _with_names(found: Sequence[Found], names: Sequence[Found]) -> list[Found]:
    """Both in order; a name that overlaps what a form proves is left out."""
    apart = [name for name in names if not any(name.start < other.end and other.start < name.end for other in found)]
    return sorted([*found, *apart])


@cache
def _detector(kinds: tuple[Kind, ...], regions: tuple[str, ...]) -> PiiDetector:
    """Once a worker: presidio takes seconds to load."""
    return PiiDetector(kinds, regions)


@cache
def _name_finder(model: Path, labels: tuple[tuple[str, str], ...]) -> NameFinder:
    return NameFinder(model, dict(labels))


def span_counts() -> Mapping[str, Column]:
    """Spans by kind, observed during the write."""
    kinds = (*KINDS, "person", "address")
    return {kind: F.count_if(F.col("rule") == kind) for kind in kinds}


STAGE = Stage(
    name="redact_pii",
    reads=(DOCUMENTS, DECISIONS),
    writes=PII_SPANS,
    config=Config,
    transform=transform,
    counts=span_counts,
    models=lambda config: (
        {str(config.ner_model): model_digest(config.ner_model)} if config.ner_model is not None else {}
    ),
    enabled=lambda config: config.enabled,
)
