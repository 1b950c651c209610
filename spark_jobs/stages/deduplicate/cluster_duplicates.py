"""Connected components of eligible documents whose texts are equal or similar: how many there are of a text, for the
report and for rehydration weights. They decide nothing."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CANDIDATE_PAIRS, CLUSTERS, SIMILARITIES
from schemas.tables.eligibility import ELIGIBILITY
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.deduplicate.components import connected_components
from spark_jobs.stages.deduplicate.settings import (
    Settings,
    eligible_documents,
    settings,
    similar_pairs,
    similar_texts,
)


def transform(
    documents: DataFrame,
    eligibility: DataFrame,
    candidate_pairs: DataFrame,
    similarities: DataFrame,
    *,
    config: Settings,
) -> DataFrame:
    eligible = eligible_documents(documents, eligibility).select("doc_id", "crawl", "text_hash")
    texts = eligible.groupBy("text_hash", *config.within).agg(F.min("doc_id").alias("first"))
    copies = eligible.join(texts, on=["text_hash", *config.within], how="inner").select("doc_id", "first")
    similar = similar_texts(similar_pairs(candidate_pairs, similarities, config), texts, "first", config.within)
    edges = (
        copies.union(similar.select("one", "two"))
        .toDF("one", "two")
        .select(F.greatest("one", "two").alias("larger"), F.least("one", "two").alias("smaller"))
        .where(F.col("larger") != F.col("smaller"))
    )
    components = connected_components(edges, config.one_task_documents)
    sized = components.withColumn("cluster_size", F.count(F.lit(1)).over(Window.partitionBy("component")))
    return (
        sized.withColumnsRenamed({"node": "doc_id", "component": "cluster_id"})
        .join(eligible.select("doc_id", "crawl"), on="doc_id", how="inner")
        .select("doc_id", "crawl", "cluster_id", "cluster_size")
    )


STAGE = Stage(
    name="cluster_duplicates",
    reads=(DOCUMENTS, ELIGIBILITY, CANDIDATE_PAIRS, SIMILARITIES),
    writes=CLUSTERS,
    config=None,
    settings=settings,
    transform=transform,
    scope="lake",
)
