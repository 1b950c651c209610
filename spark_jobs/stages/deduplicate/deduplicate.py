"""Which eligible documents repeat a kept one, by the greedy rule; ids and numbers only.

Equal texts, similar texts and captures of one page are decided together, in one order of priority: a document is
removed exactly if a kept one before it is alike in one of these ways (`kernels/duplicates/greedy.py`). So every
removed document names a kept one, no chain of likenesses removes anything, and what is decided for the first crawls
never changes when more come. Documents that are alike to nothing take no part; the others are cut into components of
what is alike, each of which one task decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CANDIDATE_PAIRS, DUPLICATES, SIMILARITIES
from schemas.tables.eligibility import ELIGIBILITY
from spark_jobs.kernels.duplicates.greedy import Candidate, settle
from spark_jobs.kernels.gates.url_keys import same_page_key
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.components import connected_components
from spark_jobs.stages.deduplicate.settings import (
    Config,
    Settings,
    eligible_documents,
    in_order,
    settings,
    similar_pairs,
    similar_texts,
)

SIMILAR = "array<struct<text: bigint, similarity: double>>"
REMOVALS = pa.schema(
    {"position": pa.int64(), "kind": pa.string(), "representative": pa.int64(), "similarity": pa.float64()}
)


def transform(
    documents: DataFrame,
    eligibility: DataFrame,
    crawls: DataFrame,
    signals: DataFrame,
    candidate_pairs: DataFrame,
    similarities: DataFrame,
    *,
    config: Settings,
) -> DataFrame:
    """The documents to remove, with the evidence."""
    eligible = eligible_documents(documents, eligibility)
    placed = in_order(eligible, crawls, signals, config).checkpoint()
    candidates = alike_documents(placed, similar_pairs(candidate_pairs, similarities, config), config).checkpoint()
    removals = in_components(candidates, config).mapInArrow(
        partial(_settle_batches, exact=config.exact),
        "position long, kind string, representative long, similarity double",
    )
    removed = placed.select("position", "doc_id", "crawl")
    kept = placed.select(F.col("position").alias("representative"), F.col("doc_id").alias("representative_id"))
    rule = F.create_map(*(F.lit(part) for kind in rule_texts(config).items() for part in kind))
    return (
        removals.join(removed, on="position", how="inner")
        .join(kept, on="representative", how="inner")
        .withColumn("rule", rule[F.col("kind")])
        .select(*DUPLICATES.column_names)
    )


def alike_documents(placed: DataFrame, similar: DataFrame, config: Settings) -> DataFrame:
    """(position, text, page, similar): the fields of `Candidate` for the documents that are alike to another."""
    texts = numbered(placed, "text_hash", "text", config.within)
    documents = placed.join(texts, on=["text_hash", *config.within], how="inner")
    if config.near:
        alike = listed_both_ways(similar_texts(similar, texts, "text", config.within))
        documents = documents.join(alike, on="text", how="left")
    else:
        documents = documents.withColumn("similar", F.lit(None).cast(SIMILAR))
    if config.url:
        documents = documents.join(pages_with_captures(placed, config.within), on="position", how="left")
    else:
        documents = documents.withColumn("page", F.lit(None).cast("long"))
    is_alike = F.col("similar").isNotNull() | F.col("page").isNotNull()
    if config.exact:
        is_alike = is_alike | (F.col("copies") > 1)
    # The first document of a text says for all of them what it is similar to.
    similar = F.when(F.col("position") == F.col("text"), F.col("similar"))
    return documents.where(is_alike).select("position", "text", "page", similar.alias("similar"))


def numbered(placed: DataFrame, key: str, name: str, within: tuple[str, ...]) -> DataFrame:
    """(key, name, copies) of each value of the key: its number is the first position that has it.

    Aggregated before the shuffle: a text that half of the web repeats is one row from each task.
    """
    return placed.groupBy(key, *within).agg(F.min("position").alias(name), F.count(F.lit(1)).alias("copies"))


def listed_both_ways(numbers: DataFrame) -> DataFrame:
    """(text, similar): the numbers of the texts that are similar to each, with the similarity, from pairs."""
    both = numbers.union(numbers.select("two", "one", "similarity")).toDF("text", "other", "similarity")
    listed = F.collect_list(F.struct(F.col("other").alias("text"), "similarity"))
    return both.groupBy("text").agg(listed.alias("similar"))


def pages_with_captures(placed: DataFrame, within: tuple[str, ...]) -> DataFrame:
    """(position, page) of the documents of whose page there is another capture."""
    columns = ("position", *within)
    keyed = (
        placed.where(F.col("url").isNotNull())
        .select("url", *columns)
        .mapInArrow(_page_batches, "page_key string, position long" + "".join(f", {name} string" for name in within))
        .where(F.col("page_key").isNotNull())
    )
    captured = numbered(keyed, "page_key", "page", within).where(F.col("copies") > 1)
    return keyed.join(captured, on=["page_key", *within], how="inner").select("position", "page")


def in_components(candidates: DataFrame, config: Config) -> DataFrame:
    """The candidates by position, those that hang together in one partition."""
    if candidates.count() <= config.one_task_documents:
        return candidates.repartition(1).sortWithinPartitions("position")
    edges = (
        candidates.select("position", F.col("text").alias("other"))
        .union(candidates.where(F.col("page").isNotNull()).select("position", "page"))
        .union(candidates.select("text", F.explode("similar.text")))
        .select(F.greatest("position", "other").alias("larger"), F.least("position", "other").alias("smaller"))
        .where(F.col("larger") != F.col("smaller"))
        .distinct()
    )
    components = connected_components(edges, config.one_task_documents)
    together = candidates.join(components.withColumnRenamed("node", "position"), on="position", how="left")
    return together.repartition("component").sortWithinPartitions("position").select(*candidates.columns)


def _page_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        keys = pa.array([same_page_key(url) for url in batch.column("url").to_pylist()], pa.string())
        yield pa.RecordBatch.from_arrays([keys, *batch.columns[1:]], names=["page_key", *batch.schema.names[1:]])


def _settle_batches(batches: Iterator[pa.RecordBatch], exact: bool) -> Iterator[pa.RecordBatch]:
    candidates = (
        Candidate(
            row["position"], row["text"], row["page"], tuple((o["text"], o["similarity"]) for o in row["similar"] or ())
        )
        for batch in batches
        for row in batch.to_pylist()
    )
    columns = list(zip(*settle(candidates, exact=exact), strict=True)) or [()] * len(REMOVALS)
    yield pa.RecordBatch.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, REMOVALS, strict=True)], schema=REMOVALS
    )


def rule_texts(config: Settings) -> dict[str, str]:
    """By kind, the name and version of the rule with its parameters."""
    first = f"first of the {config.scope}, {config.keep}"
    return {
        "exact": f"equal text, version 2, {first}",
        "near": f"greedy, version 2, similarity >= {config.threshold:g}, "
        f"bucket_representatives {config.bucket_representatives}, {first}",
        "url": f"same page, version 2, {first}",
    }


def duplicate_counts() -> Mapping[str, Column]:
    """Duplicates of each kind."""
    return {kind: F.count_if(F.col("kind") == kind) for kind in ("exact", "near", "url")}


STAGE = Stage(
    name="deduplicate",
    reads=(DOCUMENTS, ELIGIBILITY, CRAWLS, SIGNALS_TABLE, CANDIDATE_PAIRS, SIMILARITIES),
    writes=DUPLICATES,
    config=Config,
    settings=settings,
    transform=transform,
    counts=duplicate_counts,
    scope="lake",
)
