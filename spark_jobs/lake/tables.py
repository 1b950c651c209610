"""Every table of a lake, and a lake's tables as a report or an explanation reads them: confined to a crawl where one is
named, and empty where nothing has written them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Table
from schemas.plumbing.errors import UsageError
from schemas.tables.corpus import CORPUS
from schemas.tables.crawls import CRAWLS
from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CANDIDATE_PAIRS, CLUSTERS, DUPLICATES, SIMILARITIES
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.emptied import EMPTIED
from schemas.tables.incidents import INCIDENTS, SUSPECTS
from schemas.tables.line_signals import LINE_SIGNALS
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from schemas.tables.models import MODELS
from schemas.tables.quarantine import QUARANTINE
from schemas.tables.runs import RUNS
from schemas.tables.spans import SPANS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.lake import delta
from spark_jobs.signals import SIGNALS_TABLE

TABLES: tuple[Table, ...] = (
    DOCUMENTS,
    QUARANTINE,
    SIGNALS_TABLE,
    LINE_SIGNALS,
    DECONTAMINATION,
    SIGNATURES,
    BAND_INDEX,
    ELIGIBILITY,
    CANDIDATE_PAIRS,
    SIMILARITIES,
    DUPLICATES,
    CLUSTERS,
    DECISIONS,
    *SPANS,
    CORPUS,
    EMPTIED,
    TOKENIZERS,
    TOKENS,
    WITHDRAWN,
    INCIDENTS,
    SUSPECTS,
    CRAWLS,
    MODELS,
    RUNS,
)
"""In the order of a page's life, and then what is about the lake as a whole. `corpus explain`, the README and the
reference go through them in this order; a new table is entered here."""


@dataclass(frozen=True)
class Tables:
    """What a lake holds, or what it holds of one crawl."""

    spark: SparkSession
    stored: Mapping[str, DataFrame]
    crawl: str | None

    def of(self, table: Table) -> DataFrame:
        """The table's rows that concern the crawl. Rows of no crawl concern all; a document of a table that does not
        know crawls is of the crawl that `documents` says."""
        rows = self.of_every_crawl(table)
        if self.crawl is None:
            return rows
        if "crawl" in table.column_names:
            return rows.where((F.col("crawl") == self.crawl) | F.col("crawl").isNull())
        if "doc_id" in table.column_names:
            return rows.join(self.of(DOCUMENTS).select("doc_id"), "doc_id", how="left_semi")
        return rows

    def of_every_crawl(self, table: Table) -> DataFrame:
        """All of the table's rows: what a duplicate repeats may be of another crawl."""
        rows = self.stored.get(table.name)
        return self.spark.createDataFrame([], table.spark()) if rows is None else rows

    @property
    def spans(self) -> DataFrame:
        """All edits of texts, of whichever stage."""
        return reduce(DataFrame.union, map(self.of, SPANS))


def open_tables(spark: SparkSession, lake: str, crawl: str | None) -> Tables:
    """Raises `UsageError` where the folder holds no table of a lake."""
    stored = {
        table.name: delta.read_table(spark, lake, table) for table in TABLES if delta.table_exists(spark, lake, table)
    }
    if not stored:
        raise UsageError(f"--lake {lake}: no table of a lake is there")
    return Tables(spark, stored, crawl)
