"""The lake's tables as a report reads them: confined to a crawl where one is named, and empty where a stage has not
run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Table
from schemas.plumbing.errors import UsageError
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from schemas.tables.incidents import SUSPECTS
from schemas.tables.models import MODELS
from schemas.tables.quarantine import QUARANTINE
from schemas.tables.runs import RUNS
from schemas.tables.spans import LINE_SPANS, PII_SPANS, REPEATED_SPANS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from spark_jobs.lake import delta
from spark_jobs.signals import SIGNALS_TABLE

_SPANS = (LINE_SPANS, REPEATED_SPANS, PII_SPANS)
_ALL = (
    DOCUMENTS,
    QUARANTINE,
    SIGNALS_TABLE,
    DUPLICATES,
    CLUSTERS,
    DECONTAMINATION,
    SUSPECTS,
    DECISIONS,
    *_SPANS,
    CORPUS,
    TOKENIZERS,
    TOKENS,
    MODELS,
    RUNS,
)


@dataclass(frozen=True)
class Tables:
    """The tables that a report or an explanation reads."""

    documents: DataFrame
    all_documents: DataFrame
    """Of every crawl, because the document that a duplicate repeats may be of an earlier one."""
    quarantine: DataFrame
    signals: DataFrame
    duplicates: DataFrame
    clusters: DataFrame
    decisions: DataFrame
    decontamination: DataFrame
    suspects: DataFrame
    spans: DataFrame
    """All edits of texts, of whichever stage."""
    corpus: DataFrame
    tokenizers: DataFrame
    tokens: DataFrame
    models: DataFrame
    runs: DataFrame


def open_tables(spark: SparkSession, lake: str, crawl: str | None) -> Tables:
    """Raises `UsageError` where the folder holds no table of a lake."""
    stored = {
        table.name: delta.read_table(spark, lake, table) for table in _ALL if delta.table_exists(spark, lake, table)
    }
    if not stored:
        raise UsageError(f"--lake {lake}: no table of a lake is there")

    def of(table: Table) -> DataFrame:
        rows = stored.get(table.name)
        if rows is None:
            return spark.createDataFrame([], table.spark())
        return rows if crawl is None or "crawl" not in table.column_names else rows.where(F.col("crawl") == crawl)

    corpus, tokens, runs = of(CORPUS), of(TOKENS), stored.get(RUNS.name, spark.createDataFrame([], RUNS.spark()))
    if crawl is not None:
        # Tokens do not know their crawl, but the corpus does; runs on the whole lake concern every crawl.
        tokens = tokens.join(corpus.select("doc_id"), "doc_id", how="left_semi")
        runs = runs.where(F.col("crawl").isNull() | (F.col("crawl") == crawl))
    return Tables(
        documents=of(DOCUMENTS),
        all_documents=stored.get(DOCUMENTS.name, of(DOCUMENTS)),
        quarantine=of(QUARANTINE),
        signals=of(SIGNALS_TABLE),
        duplicates=of(DUPLICATES),
        clusters=of(CLUSTERS),
        decisions=of(DECISIONS),
        decontamination=of(DECONTAMINATION),
        suspects=of(SUSPECTS),
        spans=reduce(DataFrame.union, map(of, _SPANS)),
        corpus=corpus,
        tokenizers=of(TOKENIZERS),
        tokens=tokens,
        models=of(MODELS),
        runs=runs,
    )
