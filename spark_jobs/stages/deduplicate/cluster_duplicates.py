"""Connected components of documents that share a bucket or are equal: cluster sizes for the report and for
rehydration weights. They decide nothing."""

from __future__ import annotations

from pydantic import Field
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, EXACT_DUPLICATES
from schemas.tables.minhash import BAND_INDEX
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.deduplicate.components import bucket_edges, connected_components


class Config(configuration.Config):
    """How components are computed; the result does not depend on it."""

    one_task_edges: int = Field(default=1_000_000, ge=0)
    """Edges up to which one task finishes the components; more are first contracted in rounds over the cluster."""


def transform(documents: DataFrame, band_index: DataFrame, exact_duplicates: DataFrame, *, config: Config) -> DataFrame:
    # Equal documents share all buckets: one edge says that of each, and of the documents that are too short for
    # buckets.
    members = band_index.join(exact_duplicates.select("doc_id"), "doc_id", "left_anti")
    ends = (
        F.greatest("doc_id", "representative_id").alias("larger"),
        F.least("doc_id", "representative_id").alias("smaller"),
    )
    edges = bucket_edges(members, "doc_id").union(exact_duplicates.select(*ends))
    components = connected_components(edges, config.one_task_edges)
    sized = components.withColumn("cluster_size", F.count(F.lit(1)).over(Window.partitionBy("component")))
    crawls = documents.select("doc_id", "crawl")
    return (
        sized.withColumnsRenamed({"node": "doc_id", "component": "cluster_id"})
        .join(crawls, "doc_id")
        .select("doc_id", "crawl", "cluster_id", "cluster_size")
    )


STAGE = Stage(
    name="cluster_duplicates",
    reads=(DOCUMENTS, BAND_INDEX, EXACT_DUPLICATES),
    writes=CLUSTERS,
    config=Config,
    transform=transform,
    scope="lake",
)
