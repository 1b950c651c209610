"""Connected components of a graph of ids, by alternating large-star and small-star.

Kiveris et al. 2014, "Connected Components in MapReduce and Beyond", section 3. Every edge is a row (larger,
smaller). Both operations keep the components and bring each node nearer to the smallest of its component; when
neither changes an edge, every node points at it. A graph small enough for one task is finished there, which spares
the rounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.kernels.duplicates.union_find import smallest_reachable


def bucket_edges(members: DataFrame, node: str) -> DataFrame:
    """Edges (larger, smaller) from each member of a bucket (band, band_key) to its smallest: they connect what all
    pairs would connect."""
    smallest = F.min(node).over(Window.partitionBy("band", "band_key"))
    return (
        members.select(F.col(node).alias("larger"), smallest.alias("smaller"))
        .where(F.col("larger") != F.col("smaller"))
        .distinct()
    )


def connected_components(edges: DataFrame, one_task_edges: int) -> DataFrame:
    """(node, component) for every node of an edge; the component is its smallest node."""
    edges = edges.checkpoint()
    before, now = None, fingerprint(edges)
    while now != before and now[0] > one_task_edges:
        edges = small_star(large_star(edges)).checkpoint()
        before, now = now, fingerprint(edges)
    if now != before:
        return components_in_one_task(edges)
    roots = edges.select(F.col("smaller").alias("node"), F.col("smaller").alias("component")).distinct()
    return edges.select(F.col("larger").alias("node"), F.col("smaller").alias("component")).union(roots)


def large_star(edges: DataFrame) -> DataFrame:
    """Connect the larger neighbours of every node to the smallest of the node and its neighbours."""
    both = edges.select(F.col("larger").alias("node"), F.col("smaller").alias("neighbour")).union(
        edges.select("smaller", "larger")
    )
    smallest = F.least("node", F.min("neighbour").over(Window.partitionBy("node")))
    larger_neighbours = both.withColumn("smallest", smallest).where(F.col("neighbour") > F.col("node"))
    return larger_neighbours.select(F.col("neighbour").alias("larger"), F.col("smallest").alias("smaller")).distinct()


def small_star(edges: DataFrame) -> DataFrame:
    """Connect every node and its smaller neighbours to the smallest of them."""
    starred = edges.withColumn("smallest", F.min("smaller").over(Window.partitionBy("larger")))
    neighbours = starred.where(F.col("smaller") != F.col("smallest")).select(
        F.col("smaller").alias("larger"), F.col("smallest").alias("smaller")
    )
    return starred.select("larger", F.col("smallest").alias("smaller")).union(neighbours).distinct()


def components_in_one_task(edges: DataFrame) -> DataFrame:
    node_type = edges.schema["larger"].dataType.simpleString()

    def connect(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = smallest_reachable(
            edge for batch in batches for edge in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        )
        yield pa.RecordBatch.from_pydict({"node": list(found), "component": list(found.values())})

    return (
        edges.select("larger", "smaller").repartition(1).mapInArrow(connect, f"node {node_type}, component {node_type}")
    )


def fingerprint(edges: DataFrame) -> tuple[int, int]:
    """Number of edges and a hash of their set."""
    row = edges.agg(F.count(F.lit(1)).alias("count"), F.bit_xor(F.xxhash64("larger", "smaller")).alias("hash")).first()
    return row["count"], row["hash"] or 0
