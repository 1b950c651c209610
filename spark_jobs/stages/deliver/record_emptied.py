"""Say of each kept document that is not in the corpus why: its edits leave nothing of it.

With it every record has an end: failed, rejected by rules, emptied by edits, or in the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.contract import ContractError
from schemas.plumbing import configuration
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.emptied import EMPTIED
from schemas.tables.spans import LINE_SPANS, PII_SPANS, REPEATED_SPANS
from spark_jobs.lake.stage import Lake, Stage


class Config(configuration.Config):
    """There is nothing to set."""


def transform(
    decisions: DataFrame,
    corpus: DataFrame,
    line_spans: DataFrame,
    repeated_spans: DataFrame,
    pii_spans: DataFrame,
    *,
    config: Config,
) -> DataFrame:
    """A row for each kept document without one in the corpus; only ids and names of rules are joined."""
    kept = decisions.where(F.col("outcome") == "kept").select("doc_id", "crawl")
    absent = kept.join(corpus.select("doc_id"), on="doc_id", how="left_anti")
    spans = line_spans.union(repeated_spans).union(pii_spans)
    found = spans.select("doc_id", F.concat_ws(".", "kind", "rule").alias("rule"))
    by_document = (
        found.join(absent.select("doc_id"), on="doc_id", how="left_semi")
        .groupBy("doc_id")
        .agg(F.sort_array(F.collect_set("rule")).alias("rules"))
    )
    rules = F.coalesce("rules", F.array().cast("array<string>")).alias("rules")
    return absent.join(by_document, on="doc_id", how="left").select("doc_id", "crawl", rules)


def require_every_kept_document(lake: Lake, counts: Mapping[str, int]) -> None:
    """Raises `ContractError` unless the kept documents of the crawl are those of the corpus and the emptied ones."""
    kept = lake.read(DECISIONS, "crawl").where(F.col("outcome") == "kept").count()
    in_corpus = lake.read(CORPUS, "crawl").count()
    if kept != in_corpus + counts["rows"]:
        raise ContractError(
            f"record_emptied: {kept} documents are kept, but {in_corpus} are in the corpus and {counts['rows']} are "
            f"left empty by their edits"
        )


STAGE = Stage(
    name="record_emptied",
    reads=(DECISIONS, CORPUS, LINE_SPANS, REPEATED_SPANS, PII_SPANS),
    writes=EMPTIED,
    config=Config,
    transform=transform,
    verify=require_every_kept_document,
)
