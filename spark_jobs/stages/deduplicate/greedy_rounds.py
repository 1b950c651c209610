"""The greedy rule of near-duplicate removal, in rounds over the buckets.

The rule, as one process would run it: take documents by priority; remove one exactly if it is similar to one of the
comparators in its buckets, which are the first `representatives` documents of a bucket that were kept; else keep it.

In a round, the next few members of each bucket that are not removed become *leaders*, and every undecided later
member is compared with them. A bucket has at most `representatives` leaders at a time, and they are its first
members that are not removed, so each that is kept in the end is a comparator by the rule. The leaders of a round
double: a cluster of likenesses is gone after the first ones, and what is left is mostly unlike. A document is
removed once an earlier similar one is kept. It is kept once it was compared with all that the rule asks for and the
earlier ones similar to it are removed. The earliest undecided document either is decided or brings a new leader, so
every round makes progress (compare Blelloch et al. 2012, arXiv:1202.3205, on greedy maximal independent sets in
rounds).

Rows are numbers: `members` (band, band_key, position, size), where position orders documents by priority and size
counts shingles; only the verification of a pair joins the shingles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from spark_jobs.kernels.duplicates.greedy import Undecided, settle


@dataclass(frozen=True, kw_only=True)
class GreedyRule:
    """What the result depends on, and how the work is cut up, on which it does not depend."""

    threshold: float
    representatives: int
    first_leaders: int
    one_task_documents: int


def decide_greedily(members: DataFrame, shingles: DataFrame, rule: GreedyRule) -> tuple[DataFrame, DataFrame]:
    """(position, kept) for every member, and the similar pairs (earlier, later, similarity) that were met on the way.

    `shingles` has columns position and shingles. Both inputs are read in every round, so they should be cheap to read.
    """
    spark = members.sparkSession
    similar = spark.createDataFrame([], "earlier long, later long, similarity double")
    decided = spark.createDataFrame([], "position long, kept boolean")
    current = members.withColumns({"leader": F.lit(False), "kept": F.lit(False)})
    leaders = rule.first_leaders
    while undecided := count_undecided(current):
        ranked = rank_members(current, leaders, rule.representatives)
        similar = similar.union(verify(candidate_pairs(ranked, rule.threshold), shingles, rule.threshold)).checkpoint()
        waiting = undecided_documents(ranked, similar, decided)
        decided = decided.union(
            settle_in_one_task(waiting) if undecided <= rule.one_task_documents else settle_at_once(waiting)
        ).checkpoint()
        current = next_members(ranked, decided).checkpoint()
        leaders *= 2
    return decided, similar


def bucket() -> WindowSpec:
    return Window.partitionBy("band", "band_key")


def earlier_in_bucket() -> WindowSpec:
    return bucket().orderBy("position").rowsBetween(Window.unboundedPreceding, -1)


def rank_members(members: DataFrame, leaders: int, representatives: int) -> DataFrame:
    """Which members lead this round (`new_leader`), have led or do (`leader`), and were compared with all that the
    bucket asks for (`compared`)."""
    rank = F.row_number().over(bucket().orderBy("position"))
    led = F.count(F.when(F.col("leader"), 1)).over(bucket())
    kept_leaders = F.count(F.when(F.col("leader") & F.col("kept"), 1)).over(bucket())
    # Leaders are the first members, since only members that are removed leave the bucket.
    leading = F.least(F.col("led") + F.lit(leaders), F.lit(representatives))
    ranked = members.select("*", rank.alias("rank"), led.alias("led"), kept_leaders.alias("kept_leaders"))
    return ranked.select(
        *members.drop("leader").columns,
        ((F.col("rank") > F.col("led")) & (F.col("rank") <= leading)).alias("new_leader"),
        (F.col("rank") <= leading).alias("leader"),
        ((F.col("rank") - 1 <= leading) | (F.col("kept_leaders") >= representatives)).alias("compared"),
    )


def candidate_pairs(ranked: DataFrame, threshold: float) -> DataFrame:
    """Distinct (earlier, later): each undecided member with the new leaders before it in a bucket.

    The leaders of a bucket travel along its members in one window, so a hot bucket costs its size, not its square,
    and no join is skewed.
    """
    leaders = F.collect_list(F.when(F.col("new_leader"), F.struct("position", "size"))).over(earlier_in_bucket())
    return pairs_with(ranked.withColumn("leaders", leaders).where(~F.col("kept")), "leaders", threshold)


def pairs_with(members: DataFrame, earlier: str, threshold: float) -> DataFrame:
    """Distinct (earlier, later) from members with a list of structs (position, size), without pairs whose sizes
    alone rule out the threshold."""
    paired = members.select(F.col("position").alias("later"), "size", F.explode(earlier).alias("leader"))
    # |A and B| / |A or B| is at most the smaller size over the larger.
    at_most = F.least("size", "leader.size") / F.greatest("size", "leader.size")
    return paired.where(at_most >= threshold).select(F.col("leader.position").alias("earlier"), "later").distinct()


def verify(pairs: DataFrame, shingles: DataFrame, threshold: float) -> DataFrame:
    """(earlier, later, similarity) of the pairs whose exact Jaccard similarity reaches the threshold."""
    first = shingles.select(F.col("position").alias("earlier"), F.col("shingles").alias("first"))
    second = shingles.select(F.col("position").alias("later"), F.col("shingles").alias("second"))
    common = F.size(F.array_intersect("first", "second"))
    return (
        pairs.join(first, "earlier")
        .join(second, "later")
        .select("earlier", "later", (F.size("first") + F.size("second")).alias("sizes"), common.alias("common"))
        .select("earlier", "later", (F.col("common") / (F.col("sizes") - F.col("common"))).alias("similarity"))
        .where(F.col("similarity") >= threshold)
    )


def undecided_documents(ranked: DataFrame, similar: DataFrame, decided: DataFrame) -> DataFrame:
    """A row as `Undecided` for each document that is not decided yet."""
    documents = ranked.where(~F.col("kept")).groupBy("position").agg(F.bool_and("compared").alias("compared"))
    known = decided.select(F.col("position").alias("earlier"), F.col("kept").alias("earlier_kept"))
    neighbours = (
        similar.join(known, "earlier", "left")
        .where(F.coalesce("earlier_kept", F.lit(True)))
        .groupBy(F.col("later").alias("position"))
        .agg(
            F.bool_or(F.col("earlier_kept").isNotNull()).alias("outdone"),
            F.collect_list(F.when(F.col("earlier_kept").isNull(), F.col("earlier"))).alias("waits_for"),
        )
    )
    nothing = F.array().cast("array<long>")
    return documents.join(neighbours, "position", "left").select(
        "position",
        F.coalesce("outdone", F.lit(False)).alias("outdone"),
        "compared",
        F.coalesce("waits_for", nothing).alias("waits_for"),
    )


def settle_at_once(waiting: DataFrame) -> DataFrame:
    """(position, kept) of the documents whose fate hangs on no undecided one."""
    certain = F.col("outdone") | (F.col("compared") & (F.size("waits_for") == 0))
    return waiting.where(certain).select("position", (~F.col("outdone")).alias("kept"))


def settle_in_one_task(waiting: DataFrame) -> DataFrame:
    """(position, kept) of the documents that can be decided one after another, however long the chains; numbers
    only, so a million fit easily."""
    fields = list(Undecided._fields)

    def settle_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (
            Undecided(*row)
            for batch in batches
            for row in zip(*(batch.column(name).to_pylist() for name in fields), strict=True)
        )
        settled = list(settle(rows))
        columns = {"position": [position for position, _ in settled], "kept": [kept for _, kept in settled]}
        yield pa.RecordBatch.from_pydict(columns, schema=pa.schema({"position": pa.int64(), "kept": pa.bool_()}))

    return (
        waiting.select(*fields)
        .repartition(1)
        .sortWithinPartitions("position")
        .mapInArrow(settle_batches, "position long, kept boolean")
    )


def next_members(ranked: DataFrame, decided: DataFrame) -> DataFrame:
    """The buckets after a round: without members that were removed, and without buckets where all is decided."""
    open_bucket = F.bool_or(~F.col("kept")).over(bucket())
    return (
        with_outcome(ranked.select("band", "band_key", "position", "size", "leader"), decided)
        .where(F.coalesce("kept", F.lit(True)))
        .withColumn("kept", F.coalesce("kept", F.lit(False)))
        .withColumn("open", open_bucket)
        .where("open")
        .drop("open")
    )


def with_outcome(members: DataFrame, decided: DataFrame) -> DataFrame:
    """Members with `kept`: true, false, or null while undecided."""
    return members.join(decided, "position", "left")


def count_undecided(members: DataFrame) -> int:
    return members.where(~F.col("kept")).agg(F.count_distinct("position")).first()[0]


def representatives(
    members: DataFrame, decided: DataFrame, similar: DataFrame, shingles: DataFrame, rule: GreedyRule
) -> DataFrame:
    """(later, earlier, similarity) for each removed document: the first comparator by priority that it is similar to.

    A document is removed by the first kept likeness that a round brings; an earlier one may lead in another bucket
    later. The few comparators before the one that was found are compared here, so that the evidence does not depend
    on the rounds.
    """
    kept_ones = decided.where("kept").select(F.col("position").alias("earlier"))
    met = similar.join(kept_ones, "earlier", "left_semi")
    found = met.groupBy(F.col("later").alias("position")).agg(F.min("earlier").alias("found"))
    outcome = with_outcome(members, decided).join(found, "position", "left")
    comparators = F.collect_list(F.when(is_comparator(rule.representatives), F.struct("position", "size"))).over(
        earlier_in_bucket()
    )
    ranked = outcome.withColumn("kept_before", F.count(F.when(F.col("kept"), 1)).over(earlier_in_bucket())).withColumn(
        "comparators", comparators
    )
    before_found = F.filter("comparators", lambda comparator: comparator["position"] < F.col("found"))
    missed = pairs_with(ranked.where(~F.col("kept")).withColumn("missed", before_found), "missed", rule.threshold)
    first = F.min(F.struct("earlier", "similarity")).alias("first")
    return (
        met.union(verify(missed, shingles, rule.threshold))
        .groupBy("later")
        .agg(first)
        .select("later", "first.earlier", "first.similarity")
    )


def is_comparator(limit: int) -> Column:
    return F.col("kept") & (F.col("kept_before") < limit)


def bucket_sizes(members: DataFrame, decided: DataFrame) -> DataFrame:
    """(band, band_key, members, kept) of the buckets."""
    counts = (F.count(F.lit(1)).alias("members"), F.count(F.when(F.col("kept"), 1)).alias("kept"))
    return with_outcome(members, decided).groupBy("band", "band_key").agg(*counts)
