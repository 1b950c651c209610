"""Which pairs of texts are to be compared: those of eligible documents that share a bucket of LSH.

In a bucket each text is compared with the first ones by priority, so a hot bucket costs its size, not its square, and
what is asked for the first crawls never changes when more come. No text is read.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Observation, Window
from pyspark.sql import functions as F

from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CANDIDATE_PAIRS
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.minhash import BAND_INDEX
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate.settings import Settings, eligible_documents, in_order, settings


def transform(
    documents: DataFrame,
    eligibility: DataFrame,
    crawls: DataFrame,
    signals: DataFrame,
    band_index: DataFrame,
    *,
    config: Settings,
    observation: Observation | None = None,
) -> DataFrame:
    """The pairs; `observation` counts buckets, and the hot ones, in which not every text is compared with all before
    it."""
    eligible = eligible_documents(documents, eligibility)
    texts = first_of_each_text(in_order(eligible, crawls, signals, config), config.within).checkpoint()
    members = shared_buckets(band_index, texts, config.within).checkpoint()
    if observation is not None:
        observe_buckets(members, config, observation)
    return named(candidate_pairs(members, config), texts)


def first_of_each_text(placed: DataFrame, within: tuple[str, ...]) -> DataFrame:
    """(position, doc_id, crawl, text_hash): the first document of each text."""
    first = F.min(F.struct("position", "doc_id", F.col("crawl").alias("first_crawl"))).alias("first")
    firsts = placed.groupBy("text_hash", *within).agg(first)
    return firsts.select("first.position", "first.doc_id", F.col("first.first_crawl").alias("crawl"), "text_hash")


def shared_buckets(band_index: DataFrame, texts: DataFrame, within: tuple[str, ...]) -> DataFrame:
    """(band, band_key, crawl, position) of the buckets with two texts or more."""
    places = texts.select("doc_id", "crawl", "position")
    members = band_index.select("band", "band_key", "doc_id").join(places, on="doc_id", how="inner")
    texts_in_bucket = F.count(F.lit(1)).over(Window.partitionBy("band", "band_key", *within))
    return (
        members.withColumn("texts_in_bucket", texts_in_bucket)
        .where(F.col("texts_in_bucket") > 1)
        .select("band", "band_key", "crawl", "position")
    )


def candidate_pairs(members: DataFrame, config: Settings) -> DataFrame:
    """Distinct (earlier, later) positions: each text of a bucket with the first ones before it.

    The first ones travel along the bucket in one window, so no join is skewed.
    """
    bucket = Window.partitionBy("band", "band_key", *config.within).orderBy("position")
    ranked = members.withColumn("rank", F.row_number().over(bucket))
    first_ones = F.collect_list(F.when(F.col("rank") <= config.bucket_representatives, F.col("position")))
    before = first_ones.over(bucket.rowsBetween(Window.unboundedPreceding, -1))
    paired = ranked.withColumn("first_ones", before)
    return paired.select(F.explode("first_ones").alias("earlier"), F.col("position").alias("later")).distinct()


def named(pairs: DataFrame, texts: DataFrame) -> DataFrame:
    """Rows of `candidate_pairs` for pairs of positions."""
    one = texts.select(F.col("position").alias("earlier"), F.struct("text_hash", "doc_id").alias("one"))
    two = texts.select(F.col("position").alias("later"), F.struct("text_hash", "doc_id").alias("two"))
    both = pairs.join(one, on="earlier", how="inner").join(two, on="later", how="inner")
    smaller, larger = F.least("one", "two"), F.greatest("one", "two")
    pair = both.select(
        smaller["text_hash"].alias("text"),
        larger["text_hash"].alias("other"),
        F.struct(smaller["doc_id"].alias("doc_id"), larger["doc_id"].alias("other_id")).alias("documents"),
    )
    # Within crawls a text may have a first document in each, and two texts may meet in several.
    met = (
        pair.where(F.col("text") != F.col("other")).groupBy("text", "other").agg(F.min("documents").alias("documents"))
    )
    return met.select("text", "other", "documents.doc_id", "documents.other_id")


def observe_buckets(members: DataFrame, config: Settings, observation: Observation) -> None:
    """Count buckets for the ledger, in a job of its own."""
    sizes = members.groupBy("band", "band_key", *config.within).agg(F.count(F.lit(1)).alias("texts"))
    counts = {
        "buckets": F.count(F.lit(1)),
        "largest_bucket": F.coalesce(F.max("texts"), F.lit(0)),
        "hot_buckets": F.count_if(F.col("texts") > config.bucket_representatives + 1),
    }
    observed = sizes.observe(observation, *(count.alias(name) for name, count in counts.items()))
    observed.write.format("noop").mode("overwrite").save()


STAGE = Stage(
    name="find_candidates",
    reads=(DOCUMENTS, ELIGIBILITY, CRAWLS, SIGNALS_TABLE, BAND_INDEX),
    writes=CANDIDATE_PAIRS,
    config=None,
    settings=settings,
    transform=transform,
    scope="lake",
    observes_reading=True,
)
