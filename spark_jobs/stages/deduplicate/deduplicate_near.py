"""Documents that nearly repeat a kept one, by MinHash-LSH candidates and verified Jaccard similarity; no text is read.

Two rules. `greedy` removes a document exactly if it is similar to a kept one before it (see `greedy_rounds`): no
chain of likenesses removes it, and what is decided for the first documents never changes when more come.
`components` is the textbook's (datatrove, text-dedup): all but the first document of each connected component of
shared buckets are removed, whether they are similar to it or not.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pyspark.sql import DataFrame, Observation, Window
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.duplicates import EXACT_DUPLICATES, NEAR_DUPLICATES
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.components import bucket_edges, connected_components
from spark_jobs.stages.deduplicate.greedy_rounds import (
    GreedyRule,
    bucket_sizes,
    decide_greedily,
    representatives,
    verify,
)
from spark_jobs.stages.deduplicate.priority import with_priority


class Config(configuration.Config):
    """Which documents repeat others, and which of them stays."""

    rule: Literal["greedy", "components"] = "greedy"
    """`greedy`: removed if verified similar to a kept document before it; `components`: all but the first of each
    component of shared buckets."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    """Jaccard similarity of the shingle sets from which `greedy` calls documents similar. Below 0.72, 14 x 8 bands
    miss many pairs: see `corpus recall`."""
    quality: str = "gopher_quality_word_count"
    """Signal whose highest value wins among documents of one crawl."""
    bucket_representatives: int = Field(default=64, ge=1)
    """Kept documents of a bucket that its later members are compared with; bounds the work of hot buckets, and
    belongs to the rule."""
    first_leaders: int = Field(default=4, ge=1)
    """Documents of each bucket that the first round compares the others with; later rounds double it. The result
    does not depend on it."""
    one_task_documents: int = Field(default=1_000_000, ge=0)
    """Undecided documents (or, for components, edges) up to which one task propagates decisions; more go in rounds.
    The result does not depend on it."""


def transform(
    signatures: DataFrame,
    band_index: DataFrame,
    signals: DataFrame,
    exact_duplicates: DataFrame,
    *,
    config: Config,
    observation: Observation | None = None,
) -> DataFrame:
    """The documents to remove, with the evidence; `observation` counts buckets, and the hot ones, whose later
    members are not compared with all before them."""
    shared = shared_buckets(band_index, exact_duplicates).checkpoint()
    candidates = signatures.join(shared.select("doc_id").distinct(), "doc_id", "left_semi")
    placed = with_positions(candidates, signals, config.quality).checkpoint()
    shingles = candidates.join(placed, "doc_id").select("position", "shingles").checkpoint()
    members = shared.join(placed, "doc_id").select("band", "band_key", "position", "size").checkpoint()
    evidence, sizes = (
        greedy_evidence(members, shingles, config)
        if config.rule == "greedy"
        else component_evidence(members, shingles, config)
    )
    if observation is not None:
        observe_buckets(sizes, config.bucket_representatives, observation)
    documents = placed.select(F.col("position").alias("later"), "doc_id", "crawl")
    kept = placed.select(F.col("position").alias("earlier"), F.col("doc_id").alias("representative_id"))
    return (
        evidence.join(documents, "later")
        .join(kept, "earlier")
        .select("doc_id", "crawl", "representative_id", "similarity", F.lit(rule_text(config)).alias("rule"))
    )


def shared_buckets(band_index: DataFrame, exact_duplicates: DataFrame) -> DataFrame:
    """(band, band_key, doc_id) of the buckets with two members or more; exact duplicates are out already."""
    members = band_index.join(exact_duplicates.select("doc_id"), "doc_id", "left_anti")
    size = F.count(F.lit(1)).over(Window.partitionBy("band", "band_key"))
    return members.withColumn("size", size).where(F.col("size") > 1).select("band", "band_key", "doc_id")


def with_positions(candidates: DataFrame, signals: DataFrame, quality: str) -> DataFrame:
    """(doc_id, crawl, size, position): size counts shingles, and positions ascend in order of priority."""
    sized = candidates.select("doc_id", "crawl", F.size("shingles").alias("size"))
    # After a total sort these numbers ascend over the partitions too. Their values depend on the partitions, but only
    # their order is used and none is stored.
    return (
        with_priority(sized, signals, quality)
        .orderBy("priority")
        .select("doc_id", "crawl", "size", F.monotonically_increasing_id().alias("position"))
    )


def greedy_evidence(members: DataFrame, shingles: DataFrame, config: Config) -> tuple[DataFrame, DataFrame]:
    """(earlier, later, similarity) for each document to remove, and the sizes of the buckets."""
    rule = GreedyRule(
        threshold=config.threshold,
        representatives=config.bucket_representatives,
        first_leaders=config.first_leaders,
        one_task_documents=config.one_task_documents,
    )
    decided, similar = decide_greedily(members, shingles, rule)
    return representatives(members, decided, similar, shingles, rule), bucket_sizes(members, decided)


def component_evidence(members: DataFrame, shingles: DataFrame, config: Config) -> tuple[DataFrame, DataFrame]:
    """(earlier, later, similarity) for each document to remove, the similarity being any, and the sizes of the
    buckets; none of them is hot."""
    components = connected_components(bucket_edges(members, "position"), config.one_task_documents)
    pairs = components.where(F.col("node") != F.col("component")).select(
        F.col("component").alias("earlier"), F.col("node").alias("later")
    )
    nothing_decided = members.sparkSession.createDataFrame([], "position long, kept boolean")
    return verify(pairs, shingles, threshold=0.0), bucket_sizes(members, nothing_decided)


def observe_buckets(sizes: DataFrame, representatives: int, observation: Observation) -> None:
    """Count buckets for the ledger, in a job of its own."""
    counts = {
        "buckets": F.count(F.lit(1)),
        "largest_bucket": F.coalesce(F.max("members"), F.lit(0)),
        "hot_buckets": F.count_if(F.col("kept") > representatives),
    }
    sizes.observe(observation, *(count.alias(name) for name, count in counts.items())).write.format("noop").mode(
        "overwrite"
    ).save()


def rule_text(config: Config) -> str:
    if config.rule == "components":
        return "connected components, version 1"
    return (
        f"greedy, version 1, similarity >= {config.threshold:g}, bucket_representatives {config.bucket_representatives}"
    )


STAGE = Stage(
    name="deduplicate_near",
    reads=(SIGNATURES, BAND_INDEX, SIGNALS_TABLE, EXACT_DUPLICATES),
    writes=NEAR_DUPLICATES,
    config=Config,
    transform=transform,
    scope="lake",
    observes_reading=True,
)
