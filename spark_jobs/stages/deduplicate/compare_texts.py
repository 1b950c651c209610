"""How similar texts are that share a bucket: measured once, kept, and used by every policy and threshold.

In a bucket of LSH each eligible text is compared with the first eligible ones by priority. What is stored is between
texts, not documents, so it stays true whichever document carries a text; and it only grows: a run compares the pairs
that it needs and that no run before has compared. No text is read.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Observation, Window
from pyspark.sql import functions as F

from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import SIMILARITIES
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.settings import Settings, eligible_documents, in_order, settings


def transform(
    documents: DataFrame,
    eligibility: DataFrame,
    crawls: DataFrame,
    signals: DataFrame,
    signatures: DataFrame,
    band_index: DataFrame,
    *,
    config: Settings,
    observation: Observation | None = None,
) -> DataFrame:
    """All pairs that the rule asks for; `observation` counts buckets, and the hot ones, in which not every text is
    compared with all before it."""
    nothing = documents.sparkSession.createDataFrame([], SIMILARITIES.spark())
    grown = grow(
        nothing, documents, eligibility, crawls, signals, signatures, band_index, config=config, observation=observation
    )
    assert grown is not None
    return grown


def grow(
    stored: DataFrame,
    documents: DataFrame,
    eligibility: DataFrame,
    crawls: DataFrame,
    signals: DataFrame,
    signatures: DataFrame,
    band_index: DataFrame,
    *,
    config: Settings,
    observation: Observation | None = None,
) -> DataFrame | None:
    """The pairs that the rule asks for and that are not stored; None where stored ones are of another scheme."""
    if not stored.where(F.col("scheme") != config.scheme).isEmpty():
        return None
    eligible = eligible_documents(documents, eligibility)
    texts = first_of_each_text(in_order(eligible, crawls, signals, config), config.within).checkpoint()
    members = shared_buckets(band_index, texts, signatures, config.within).checkpoint()
    if observation is not None:
        observe_buckets(members, config, observation)
    known = stored.select("text", "other")
    return compared(
        named(wanted_pairs(members, config), texts).join(known, on=["text", "other"], how="left_anti"), signatures
    ).select("text", "other", "similarity", F.lit(config.scheme).alias("scheme"))


def first_of_each_text(placed: DataFrame, within: tuple[str, ...]) -> DataFrame:
    """(position, doc_id, crawl, text_hash): the first document of each text."""
    first = F.min(F.struct("position", "doc_id", "crawl")).alias("first")
    return placed.groupBy("text_hash", *within).agg(first).select("first.*", "text_hash")


def shared_buckets(
    band_index: DataFrame, texts: DataFrame, signatures: DataFrame, within: tuple[str, ...]
) -> DataFrame:
    """(band, band_key, crawl, position, shingles) of the buckets with two texts or more; `shingles` counts them."""
    members = band_index.select("band", "band_key", "doc_id").join(
        texts.select("doc_id", "crawl", "position"), on="doc_id", how="inner"
    )
    sizes = signatures.select("doc_id", F.size("shingles").alias("shingles"))
    shared = F.count(F.lit(1)).over(Window.partitionBy("band", "band_key", *within)) > 1
    return (
        members.withColumn("shared", shared)
        .where("shared")
        .join(sizes, on="doc_id", how="inner")
        .select("band", "band_key", "crawl", "position", "shingles")
    )


def wanted_pairs(members: DataFrame, config: Settings) -> DataFrame:
    """Distinct (earlier, later) positions: each text of a bucket with the first ones before it.

    The first ones travel along the bucket in one window, so a hot bucket costs its size, not its square. Pairs whose
    sizes alone rule out the threshold are left out: |A and B| / |A or B| is at most the smaller size over the larger.
    """
    bucket = Window.partitionBy("band", "band_key", *config.within).orderBy("position")
    ranked = members.withColumn("rank", F.row_number().over(bucket))
    first_ones = F.collect_list(
        F.when(F.col("rank") <= config.bucket_representatives, F.struct("position", "shingles"))
    ).over(bucket.rowsBetween(Window.unboundedPreceding, -1))
    paired = ranked.withColumn("first_ones", first_ones).select(
        F.col("position").alias("later"), "shingles", F.explode("first_ones").alias("one")
    )
    at_most = F.least("shingles", "one.shingles") / F.greatest("shingles", "one.shingles")
    return paired.where(at_most >= config.threshold).select(F.col("one.position").alias("earlier"), "later").distinct()


def named(pairs: DataFrame, texts: DataFrame) -> DataFrame:
    """(text, other, doc_id, other_id) of pairs of positions, the smaller hash first."""
    one = texts.select(F.col("position").alias("earlier"), F.struct("text_hash", "doc_id").alias("one"))
    two = texts.select(F.col("position").alias("later"), F.struct("text_hash", "doc_id").alias("two"))
    both = pairs.join(one, on="earlier", how="inner").join(two, on="later", how="inner")
    smaller, larger = F.least("one", "two"), F.greatest("one", "two")
    return (
        both.select(
            smaller["text_hash"].alias("text"),
            larger["text_hash"].alias("other"),
            smaller["doc_id"].alias("doc_id"),
            larger["doc_id"].alias("other_id"),
            # Documents of one text are alike without being compared, in whichever crawls they are.
        )
        .where(F.col("text") != F.col("other"))
        .dropDuplicates(["text", "other"])
    )


def compared(pairs: DataFrame, signatures: DataFrame) -> DataFrame:
    """The pairs (text, other, doc_id, other_id) with the exact Jaccard similarity of their sets of shingles."""
    first = signatures.select("doc_id", F.col("shingles").alias("first"))
    second = signatures.select(F.col("doc_id").alias("other_id"), F.col("shingles").alias("second"))
    common = F.size(F.array_intersect("first", "second"))
    return (
        pairs.join(first, on="doc_id", how="inner")
        .join(second, on="other_id", how="inner")
        .select("text", "other", (F.size("first") + F.size("second")).alias("sizes"), common.alias("common"))
        .select("text", "other", (F.col("common") / (F.col("sizes") - F.col("common"))).alias("similarity"))
    )


def observe_buckets(members: DataFrame, config: Settings, observation: Observation) -> None:
    """Count buckets for the ledger, in a job of its own."""
    sizes = members.groupBy("band", "band_key", *config.within).agg(F.count(F.lit(1)).alias("texts"))
    counts = {
        "buckets": F.count(F.lit(1)),
        "largest_bucket": F.coalesce(F.max("texts"), F.lit(0)),
        "hot_buckets": F.count_if(F.col("texts") > config.bucket_representatives + 1),
    }
    sizes.observe(observation, *(count.alias(name) for name, count in counts.items())).write.format("noop").mode(
        "overwrite"
    ).save()


STAGE = Stage(
    name="compare_texts",
    reads=(DOCUMENTS, ELIGIBILITY, CRAWLS, SIGNALS_TABLE, SIGNATURES, BAND_INDEX),
    writes=SIMILARITIES,
    config=None,
    settings=settings,
    transform=transform,
    grow=grow,
    scope="lake",
    observes_reading=True,
)
