"""Decide, by a policy, which documents are kept: join what was measured, by id and without any text, and give it to
`decide`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import pyarrow as pa
from pydantic import BeforeValidator, Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.plumbing.configuration import Extensible
from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, EXACT_DUPLICATES, NEAR_DUPLICATES, URL_DUPLICATES
from schemas.tables.incidents import SUSPECTS
from spark_jobs.kernels.gates.entry_lists import list_digests
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.decide import decisions, sources
from spark_jobs.stages.decide.load_policy import resolve_policy
from spark_jobs.stages.decide.policy import Policy

READS = (
    DOCUMENTS,
    SIGNALS_TABLE,
    EXACT_DUPLICATES,
    NEAR_DUPLICATES,
    URL_DUPLICATES,
    CLUSTERS,
    DECONTAMINATION,
    SUSPECTS,
)


class Config(configuration.Config):
    """What to keep."""

    policy: Annotated[Policy, Extensible("extends"), BeforeValidator(resolve_policy)] = Field(
        default="english_web",  # type: ignore[assignment]
        validate_default=True,
    )
    """Name of a bundled policy, path of a policy file, or the policy itself; `--set select_corpus.policy.KEY=...`
    changes single keys of it, as `extends` does."""


def transform(*inputs: DataFrame, config: Config) -> DataFrame:
    """One decision for every document: `failed` where extraction failed, `rejected` with all its rules, else `kept`.
    `inputs` are those of `READS`."""
    policy = config.policy

    def decide_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield decisions(policy, batch)

    return joined(policy, dict(zip((table.name for table in READS), inputs, strict=True))).mapInArrow(
        decide_batches, DECISIONS.spark()
    )


def joined(policy: Policy, tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row a document with the columns and flags that `decide` needs."""
    parts = []
    for source in sources(policy):
        flag = [F.lit(True).alias(source.flag)] if source.flag else []
        rows = tables[source.table.name].select("doc_id", *source.columns, *flag)
        parts.append(_lists(rows, source.columns) if source.many else rows)
    documents, *others = parts
    for other in others:
        documents = documents.join(other, on="doc_id", how="left")
    return documents


def _lists(rows: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    """One row a document; each column becomes the list of its values, the rows of a document in one order."""
    gathered = rows.groupBy("doc_id").agg(F.array_sort(F.collect_list(F.struct(*columns))).alias("rows"))
    return gathered.select("doc_id", *(F.col(f"rows.{name}").alias(name) for name in columns))


def decision_counts() -> Mapping[str, Column]:
    """Documents by outcome, observed during the write."""
    return {outcome: F.sum((F.col("outcome") == outcome).cast("long")) for outcome in ("kept", "rejected", "failed")}


STAGE = Stage(
    name="select_corpus",
    reads=READS,
    writes=DECISIONS,
    config=Config,
    transform=transform,
    conserves=DOCUMENTS,
    counts=decision_counts,
    models=lambda config: list_digests(config.policy.rights.opt_out_lists),
)
