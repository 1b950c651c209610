"""Find the lines, and parts of lines, of kept documents that rules on single lines remove; `assemble_corpus` applies
the spans.

The policy has decided on the texts as they are. Off unless `rules` names some.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pyarrow as pa
from pydantic import field_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.spans import LINE_SPANS
from spark_jobs.kernels.measures.line_edits import ALL_RULES, line_edits
from spark_jobs.lake.batches import batch_of_rows, map_batches
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.edit.kept_texts import kept_texts


class Config(configuration.Config):
    """Which rules remove lines."""

    rules: tuple[str, ...] = ()
    """Names of rules, such as `c4.javascript`, or all of a family: `c4.*`, `refinedweb.*`."""

    @field_validator("rules")
    @classmethod
    def are_rules(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        named = [
            known
            for rule in rules
            for known in ([k for k in ALL_RULES if k.startswith(rule[:-1])] if rule.endswith(".*") else [rule])
        ]
        unknown = sorted(set(named) - set(ALL_RULES)) or [
            rule for rule in rules if rule.endswith(".*") and not any(k.startswith(rule[:-1]) for k in ALL_RULES)
        ]
        if unknown:
            raise ValueError(f"no such rules: {', '.join(unknown)}; there are {', '.join(ALL_RULES)}")
        return tuple(rule for rule in ALL_RULES if rule in named)


def transform(documents: DataFrame, decisions: DataFrame, *, config: Config) -> DataFrame:
    texts = kept_texts(documents, decisions, "doc_id", "crawl", "text")
    return map_batches(texts, partial(find_in_batch, rules=frozenset(config.rules)), LINE_SPANS)


def find_in_batch(batch: pa.RecordBatch, rules: frozenset[str]) -> pa.RecordBatch:
    """Rows of `line_spans` for a batch with columns doc_id, crawl and text."""
    rows = [
        (document["doc_id"], document["crawl"], "line", edit.rule, edit.start, edit.end, "")
        for document in batch.to_pylist()
        for edit in line_edits(document["text"], rules)
    ]
    return batch_of_rows(rows, LINE_SPANS)


def edit_counts() -> Mapping[str, Column]:
    """Spans by rule, observed during the write."""
    return {rule.replace(".", "_"): F.count_if(F.col("rule") == rule) for rule in ALL_RULES}


STAGE = Stage(
    name="edit_lines",
    reads=(DOCUMENTS, DECISIONS),
    writes=LINE_SPANS,
    config=Config,
    transform=transform,
    counts=edit_counts,
    enabled=lambda config: bool(config.rules),
)
