"""Substrings, paragraphs and lines that an earlier place of the lake's kept documents has too, as spans to remove.

A substring is removed exactly where a window of `substring_tokens` tokens occurs again (Lee et al. 2022,
arXiv:2107.06499, section 4.2, with a suffix array):

- every token of a window that has occurred before, in a document of higher priority or earlier in its own, is removed;
- no token is removed that is not in such a window.

`kernels/duplicates/anchors.py` says why it is enough to compare regions and, where regions differ around an equal
anchor, the windows of their first places. Only numbers are shuffled, and the work grows with the text, not with the
number of copies of a repeat. Paragraphs and lines are repeated where their words are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.crawls import CRAWLS
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.spans import REPEATED_SPANS
from spark_jobs.kernels.duplicates.anchors import anchored_regions, grams_within
from spark_jobs.kernels.duplicates.passages import Unit, passages
from spark_jobs.kernels.duplicates.stretches import Stretches
from spark_jobs.lake.session import on_every_worker
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.priority import with_priority
from spark_jobs.stages.edit.repeated_places import PLACES, first_places, later_places, merged


class Config(configuration.Config):
    """Which repeats to remove; nothing is removed, and the stage does not run, unless one of the three sizes is
    given."""

    substring_tokens: int | None = Field(default=None, ge=2)
    """Tokens of a window that is removed wherever it occurs again; Lee et al. use 50. A token is a word, or a
    character of a script without spaces."""
    anchor_tokens: int = Field(default=12, ge=1)
    """Tokens of the anchors by which windows are found. Fewer make fewer rows but more chance candidates; the result
    does not depend on it."""
    paragraph_characters: int | None = Field(default=None, ge=1)
    """Characters of the shortest paragraph that is removed where it occurs again. Paragraphs end at blank lines, or
    where a text has none, at every line."""
    paragraph_copies: int = Field(default=2, ge=2)
    """Copies from which on all but the first of a paragraph are removed."""
    line_characters: int | None = Field(default=None, ge=1)
    """Characters of the shortest line that is removed where it occurs again."""
    line_copies: int = Field(default=2, ge=2)
    """Copies from which on all but the first of a line are removed."""
    quality: str = "gopher_quality_word_count"
    """Signal whose highest value comes first among documents of one crawl; the first of equal places stays."""

    @model_validator(mode="after")
    def anchors_fit_into_windows(self) -> Self:
        if self.substring_tokens is not None and self.anchor_tokens > self.substring_tokens:
            raise ValueError(
                f"anchor_tokens {self.anchor_tokens} is above substring_tokens {self.substring_tokens}: an anchor is a "
                f"part of a window"
            )
        return self


def is_enabled(config: Config) -> bool:
    return any(
        size is not None for size in (config.substring_tokens, config.paragraph_characters, config.line_characters)
    )


def transform(
    documents: DataFrame, decisions: DataFrame, signals: DataFrame, crawls: DataFrame, *, config: Config
) -> DataFrame:
    """One row for each stretch to remove; the stretches of one rule do not overlap."""
    ordered = in_order(decisions, crawls, signals, config.quality).checkpoint()
    ids = ordered.select("doc_id", "document")
    texts = documents.join(on_every_worker(ids), "doc_id", how="inner").select("document", "text")
    found = []
    if config.substring_tokens is not None:
        found.append(repeated_substrings(texts, config).withColumn("rule", F.lit("substring")))
    if config.paragraph_characters is not None:
        paragraphs = repeated_passages(texts, "paragraph", config.paragraph_characters, config.paragraph_copies)
        found.append(paragraphs.withColumn("rule", F.lit("paragraph")))
    if config.line_characters is not None:
        found.append(
            repeated_passages(texts, "line", config.line_characters, config.line_copies).withColumn(
                "rule", F.lit("line")
            )
        )
    return (
        reduce(DataFrame.union, found)
        .join(ordered, "document", how="inner")
        .withColumns({"kind": F.lit("repeated"), "replacement": F.lit("")})
        .select(*REPEATED_SPANS.column_names)
    )


def in_order(decisions: DataFrame, crawls: DataFrame, signals: DataFrame, quality: str) -> DataFrame:
    """(doc_id, crawl, document) of the kept documents; the number `document` ascends in order of priority."""
    kept = decisions.where(F.col("outcome") == "kept").select("doc_id", "crawl")
    # Only the order of these numbers is used, and none is stored: see deduplicate/settings.py.
    return (
        with_priority(kept, crawls, signals, quality)
        .orderBy("priority")
        .select("doc_id", "crawl", F.monotonically_increasing_id().alias("document"))
    )


def repeated_substrings(texts: DataFrame, config: Config) -> DataFrame:
    """(document, start, end) of the tokens in windows that have occurred before, from texts (document, text)."""
    tokens = config.substring_tokens
    regions = texts.mapInArrow(
        partial(_region_batches, tokens=tokens, anchor_tokens=config.anchor_tokens), f"anchor long, {PLACES}"
    )
    shared = (
        regions.withColumn("places", F.count(F.lit(1)).over(Window.partitionBy("anchor")))
        .where(F.col("places") > 1)
        .drop("places")
        .checkpoint()
    )
    contents = first_places(shared, "anchor").checkpoint()
    differing = contents.withColumn("contents", F.count(F.lit(1)).over(Window.partitionBy("anchor"))).where(
        F.col("contents") > 1
    )
    within = differing.groupBy("first.document").agg(
        F.collect_list(F.struct("first.start", "first.end")).alias("regions")
    )
    compared = texts.join(on_every_worker(within), "document", how="inner").select("document", "text", "regions")
    grams = compared.mapInArrow(partial(_gram_batches, tokens=tokens), PLACES).checkpoint()
    return merged(later_places(shared, contents).union(later_places(grams, first_places(grams))))


def repeated_passages(texts: DataFrame, unit: Unit, least_characters: int, least_copies: int) -> DataFrame:
    """(document, start, end) of the passages that have occurred before, from texts (document, text)."""
    places = texts.mapInArrow(
        partial(_passage_batches, unit=unit, least_characters=least_characters), PLACES
    ).checkpoint()
    return later_places(places, first_places(places), least_copies)


def _region_batches(batches: Iterable[pa.RecordBatch], tokens: int, anchor_tokens: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        anchors, regions = zip(
            *(anchored_regions(text, tokens, anchor_tokens) for text in batch.column("text").to_pylist()), strict=True
        )
        yield places_batch(batch.column("document"), regions, anchor=np.concatenate(anchors))


def _gram_batches(batches: Iterable[pa.RecordBatch], tokens: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = zip(batch.column("text").to_pylist(), batch.column("regions").to_pylist(), strict=True)
        grams = [
            grams_within(text, [(region["start"], region["end"]) for region in regions], tokens)
            for text, regions in rows
        ]
        yield places_batch(batch.column("document"), grams)


def _passage_batches(batches: Iterable[pa.RecordBatch], unit: Unit, least_characters: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found = [passages(text, unit, least_characters) for text in batch.column("text").to_pylist()]
        yield places_batch(batch.column("document"), found)


def places_batch(documents: pa.Array, found: Sequence[Stretches], **columns: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """Rows of places from the stretches of each document, after further columns of theirs."""
    high, low, start, end = (np.concatenate(column) for column in zip(*found, strict=True))
    document = np.repeat(documents.to_numpy(), [len(stretches.start) for stretches in found])
    places = columns | {
        "high": high,
        "low": low,
        "document": document,
        "start": start.astype(np.int32),
        "end": end.astype(np.int32),
    }
    return pa.RecordBatch.from_pydict({name: pa.array(column) for name, column in places.items()})


def span_counts() -> Mapping[str, Column]:
    """Spans of each rule, and the characters in all of them."""
    spans = {f"{rule}_spans": F.count_if(F.col("rule") == rule) for rule in ("substring", "paragraph", "line")}
    return spans | {"characters": F.coalesce(F.sum(F.col("end") - F.col("start")), F.lit(0))}


STAGE = Stage(
    name="deduplicate_substrings",
    reads=(DOCUMENTS, DECISIONS, SIGNALS_TABLE, CRAWLS),
    writes=REPEATED_SPANS,
    config=Config,
    transform=transform,
    scope="lake",
    counts=span_counts,
    enabled=is_enabled,
)
