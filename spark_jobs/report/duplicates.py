"""How many documents repeat others, how large the groups are, how similar, and a few pairs to look at."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from spark_jobs.lake.tables import Tables

PAIRS_SHOWN = 8
SIMILARITY_BINS = 50
SEED = 0


@dataclass(frozen=True)
class Bin:
    """Number of items in [low, high)."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Pair:
    """A near-duplicate and the document that was kept in its place."""

    doc_id: str
    url: str | None
    representative_id: str
    representative_url: str | None
    similarity: float


@dataclass(frozen=True)
class Duplicates:
    """Sizes count documents, the kept one included; bins of sizes are powers of two."""

    exact: int
    near: int
    rules: tuple[str, ...]
    exact_groups: tuple[Bin, ...]
    clusters: tuple[Bin, ...]
    largest_cluster: int
    similarities: tuple[Bin, ...]
    pairs: tuple[Pair, ...]


def gather_duplicates(tables: Tables) -> Duplicates:
    exact, near = (tables.of(DUPLICATES).where(F.col("kind") == kind) for kind in ("exact", "near"))
    copies = exact.groupBy("representative_id").agg((F.count(F.lit(1)) + 1).alias("size"))
    clusters = tables.of(CLUSTERS).groupBy("cluster_id").agg(F.max("cluster_size").alias("size"))
    rules = tables.of(DUPLICATES).select("rule").distinct().collect()
    return Duplicates(
        exact=exact.count(),
        near=near.count(),
        rules=tuple(sorted(row["rule"] for row in rules)),
        exact_groups=size_bins(copies),
        clusters=size_bins(clusters),
        largest_cluster=clusters.agg(F.max("size")).first()[0] or 0,
        similarities=similarity_bins(near),
        pairs=example_pairs(near, tables.of_every_crawl(DOCUMENTS)),
    )


def size_bins(groups: DataFrame) -> tuple[Bin, ...]:
    """Groups of a column `size` of at least 2 by powers of two, without gaps up to the largest."""
    counted = dict(groups.groupBy(_power_of_two(F.col("size")).alias("power")).count().collect())
    return tuple(
        Bin(2**power, 2 ** (power + 1), counted.get(power, 0)) for power in range(1, max(counted, default=0) + 1)
    )


def similarity_bins(near_duplicates: DataFrame) -> tuple[Bin, ...]:
    """Pairs by similarity, from the least similar to 1, which belongs to the last bin."""
    number = F.least(F.floor(F.col("similarity") * SIMILARITY_BINS), F.lit(SIMILARITY_BINS - 1)).cast("int")
    counted = dict(near_duplicates.groupBy(number.alias("bin")).count().collect())
    first = min(counted, default=SIMILARITY_BINS)
    return tuple(
        Bin(i / SIMILARITY_BINS, (i + 1) / SIMILARITY_BINS, counted.get(i, 0)) for i in range(first, SIMILARITY_BINS)
    )


def example_pairs(near_duplicates: DataFrame, documents: DataFrame) -> tuple[Pair, ...]:
    """Pairs chosen by a hash of the duplicate, the least similar first."""
    chosen = near_duplicates.orderBy(F.xxhash64(F.lit(SEED), "doc_id"), "doc_id").limit(PAIRS_SHOWN)
    rows = chosen.select("doc_id", "representative_id", "similarity").collect()
    ids = {row["doc_id"] for row in rows} | {row["representative_id"] for row in rows}
    urls = dict(documents.where(F.col("doc_id").isin(sorted(ids))).select("doc_id", "url").collect()) if ids else {}
    pairs = [
        Pair(
            row["doc_id"],
            urls.get(row["doc_id"]),
            row["representative_id"],
            urls.get(row["representative_id"]),
            row["similarity"],
        )
        for row in rows
    ]
    return tuple(sorted(pairs, key=lambda pair: (pair.similarity, pair.doc_id)))


def _power_of_two(size: Column) -> Column:
    # The length in binary digits is exact, which a logarithm of a large number is not.
    return F.length(F.bin(size)) - 1
