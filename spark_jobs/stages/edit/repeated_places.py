"""Equal stretches of texts, known by their digests: where each occurs first, and which places only repeat it.

A place is (high, low, document, start, end): the two halves of the digest, a number that orders documents by
priority, and characters of its text. Each place is compared with the first one alone, so a stretch that a million
documents have costs a million rows and not their pairs.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

PLACES = "high long, low long, document long, start int, end int"


def first_places(places: DataFrame, *also_by: str) -> DataFrame:
    """(*also_by, high, low, first, copies) of each distinct stretch; `first` is a struct (document, start, end).
    Aggregated before the shuffle."""
    return places.groupBy(*also_by, "high", "low").agg(F.min(place()).alias("first"), F.count(F.lit(1)).alias("copies"))


def later_places(places: DataFrame, first: DataFrame, least_copies: int = 2) -> DataFrame:
    """(document, start, end) of the places that repeat the first place of a stretch with at least so many copies."""
    repeated = first.where(F.col("copies") >= least_copies).select("high", "low", "first")
    return (
        places.join(repeated, ["high", "low"], how="inner")
        .where(place() != F.col("first"))
        .select("document", "start", "end")
    )


def place() -> Column:
    return F.struct("document", "start", "end")


def merged(spans: DataFrame) -> DataFrame:
    """(document, start, end) of the unions of overlapping spans."""
    by_start = Window.partitionBy("document").orderBy("start", "end")
    reached = F.max("end").over(by_start.rowsBetween(Window.unboundedPreceding, -1))
    is_apart = F.coalesce(F.col("start") >= F.col("reached"), F.lit(True))
    stretches = spans.withColumn("reached", reached).withColumn("stretch", F.count(F.when(is_apart, 1)).over(by_start))
    return (
        stretches.groupBy("document", "stretch")
        .agg(F.min("start").alias("start"), F.max("end").alias("end"))
        .drop("stretch")
    )
