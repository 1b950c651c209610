"""What is true of every lake after every run, in the user's words, and the rows that would break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Table
from schemas.plumbing.errors import ContractError
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import DUPLICATES
from schemas.tables.emptied import EMPTIED
from spark_jobs.lake import delta


@dataclass(frozen=True)
class Invariant:
    """`sentence` says what holds; `broken_by` gives the ids (a column doc_id) of the documents for which it does
    not."""

    sentence: str
    tables: tuple[Table, ...]
    broken_by: Callable[..., DataFrame]


def _kept(decisions: DataFrame) -> DataFrame:
    return decisions.where(F.col("outcome") == "kept")


def _without_kept_representative(decisions: DataFrame, duplicates: DataFrame) -> DataFrame:
    kept = _kept(decisions).select(F.col("doc_id").alias("representative_id"))
    return duplicates.join(kept, on="representative_id", how="left_anti")


def _rejected_without_evidence(decisions: DataFrame, duplicates: DataFrame) -> DataFrame:
    named = F.explode("rejected_by").alias("rule")
    rules = decisions.select("doc_id", named).where(F.col("rule").startswith("duplicate."))
    evidence = duplicates.select("doc_id", F.concat(F.lit("duplicate."), "kind").alias("rule"))
    return rules.join(evidence, on=["doc_id", "rule"], how="left_anti")


def _kept_duplicates(decisions: DataFrame, duplicates: DataFrame) -> DataFrame:
    return _kept(decisions).join(duplicates, on="doc_id", how="left_semi")


def _undecided(documents: DataFrame, decisions: DataFrame) -> DataFrame:
    crawls = F.broadcast(decisions.select("crawl").distinct())
    return documents.join(crawls, on="crawl", how="left_semi").join(decisions, on="doc_id", how="left_anti")


def _in_corpus_without_being_kept(decisions: DataFrame, corpus: DataFrame) -> DataFrame:
    return corpus.join(_kept(decisions), on="doc_id", how="left_anti")


def _kept_and_lost(decisions: DataFrame, corpus: DataFrame, emptied: DataFrame) -> DataFrame:
    accounted = corpus.select("doc_id").union(emptied.select("doc_id"))
    return _kept(decisions).join(accounted, on="doc_id", how="left_anti")


INVARIANTS = (
    Invariant(
        "no document is rejected as a duplicate of one that is not kept",
        (DECISIONS, DUPLICATES),
        _without_kept_representative,
    ),
    Invariant(
        "every document that is rejected as a duplicate has a row that names what it repeats",
        (DECISIONS, DUPLICATES),
        _rejected_without_evidence,
    ),
    Invariant("no kept document repeats another", (DECISIONS, DUPLICATES), _kept_duplicates),
    Invariant("every record of a decided crawl has a decision", (DOCUMENTS, DECISIONS), _undecided),
    Invariant("only kept documents are in the corpus", (DECISIONS, CORPUS), _in_corpus_without_being_kept),
    Invariant(
        "every kept document is in the corpus, or its edits leave nothing of it",
        (DECISIONS, CORPUS, EMPTIED),
        _kept_and_lost,
    ),
)


def require_invariants(spark: SparkSession, lake: str, invariants: tuple[Invariant, ...] = INVARIANTS) -> None:
    """Raises `ContractError` that names each invariant that does not hold, with a few documents. One job for all."""
    tables = {
        table.name: delta.read_table(spark, lake, table) for table in {t for one in invariants for t in one.tables}
    }
    broken = [
        invariant.broken_by(*(tables[table.name] for table in invariant.tables)).select(
            F.lit(invariant.sentence).alias("sentence"), "doc_id"
        )
        for invariant in invariants
    ]
    counted = (
        reduce(DataFrame.union, broken)
        .groupBy("sentence")
        .agg(F.count_distinct("doc_id").alias("documents"), F.min("doc_id").alias("first"))
    )
    found = counted.orderBy("sentence").collect()
    if found:
        raise ContractError(
            "; ".join(
                f"it does not hold that {row['sentence']}: {row['documents']:,} documents, such as {row['first']}"
                for row in found
            )
        )
