"""Withdraw the stored documents that are no longer in the corpus as they are stored.

Their tokens stay where they are, so nothing that a training run reads moves; readers leave them out. It happens
before new tokens are stored: whatever is written after it, be it an increment or all tokens anew, a run that goes on
with what was stored before finds here what has left since. Only ids, hashes and counts are read.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENS
from schemas.tables.withdrawn import EDITED, LEFT, REASONS, REWEIGHTED, WITHDRAWN
from spark_jobs.lake.stage import Stage

TEXT = ("text_hash",)
"""Where one of these differs from the corpus, the stored text must not be read any more."""

PLACE = ("source", "weight")
"""Where only one of these differs, the stored text is still right, but it is to be read in another way."""


class Config(configuration.Config):
    """Withdrawals of stored documents have no settings: what is not in the corpus is not to be read."""


def transform(corpus: DataFrame, stored: DataFrame, *, config: Config, versions: Mapping[str, int]) -> DataFrame:
    """What is to be withdrawn where nothing has been yet."""
    return grow(
        corpus.sparkSession.createDataFrame([], WITHDRAWN.spark()), corpus, stored, config=config, versions=versions
    )


def grow(
    known: DataFrame, corpus: DataFrame, stored: DataFrame, *, config: Config, versions: Mapping[str, int]
) -> DataFrame:
    """What is stored as the corpus no longer has it, and is not withdrawn yet."""
    number = known.agg(F.coalesce(F.max("withdrawal") + 1, F.lit(0))).first()[0]
    replacement = next_increment(stored, known)
    # A copy that was withdrawn for its place alone is still read by runs that do not read the one which replaced it.
    out = known.groupBy("doc_id").agg(
        F.max("increment").alias("out"), F.max(F.when(F.col("reason") != REWEIGHTED, F.col("increment"))).alias("gone")
    )
    wanted = corpus.select("doc_id", *(F.col(name).alias(f"wanted_{name}") for name in (*TEXT, *PLACE)))
    copies = (
        stored.select("doc_id", "increment", "n_tokens", *TEXT, *PLACE)
        .join(out, on="doc_id", how="left")
        .where(F.col("gone").isNull() | (F.col("increment") > F.col("gone")))
        .withColumn("is_live", F.col("out").isNull() | (F.col("increment") > F.col("out")))
        .join(wanted, on="doc_id", how="left")
        .withColumn(
            "reason",
            F.when(F.col("wanted_source").isNull(), LEFT)
            .when(_differs(TEXT), EDITED)
            .when(_differs(PLACE) & F.col("is_live"), REWEIGHTED),
        )
        .where(F.col("reason").isNotNull())
    )
    return (
        copies.groupBy("doc_id")
        .agg(
            F.max_by("source", "increment").alias("source"),
            F.max("increment").alias("increment"),
            F.lit(number).alias("withdrawal"),
            F.lit(versions.get(TOKENS.name, 0)).cast("long").alias("tokens_version"),
            F.sum(F.when(F.col("is_live"), F.col("n_tokens")).otherwise(0)).alias("n_tokens"),
            F.max_by("reason", "increment").alias("reason"),
        )
        .withColumn("replaced_by", F.when(F.col("reason") != LEFT, F.lit(replacement)).cast("int"))
        .select(*WITHDRAWN.column_names)
    )


def live_rows(stored: DataFrame, withdrawn: DataFrame) -> DataFrame:
    """The stored copies that are not withdrawn."""
    out = withdrawn.groupBy("doc_id").agg(F.max("increment").alias("out"))
    return (
        stored.join(out, on="doc_id", how="left")
        .where(F.col("out").isNull() | (F.col("increment") > F.col("out")))
        .select(*stored.columns)
    )


def next_increment(stored: DataFrame, withdrawn: DataFrame) -> int:
    """The increment that is stored next. Numbers are never used again, also where all tokens are written anew: a
    withdrawal concerns the copies that there were, and none that comes later."""
    used = (rows.agg(F.max("increment")).first()[0] for rows in (stored, withdrawn))
    return 1 + max((number for number in used if number is not None), default=-1)


def _differs(names: tuple[str, ...]) -> Column:
    same = F.lit(True)
    for name in names:
        same = same & F.col(name).eqNullSafe(F.col(f"wanted_{name}"))
    return ~same


def counts() -> dict[str, Column]:
    return {
        "tokens": F.coalesce(F.sum("n_tokens"), F.lit(0)),
        **{reason: F.count_if(F.col("reason") == reason) for reason in REASONS},
    }


STAGE = Stage(
    name="withdraw_documents",
    reads=(CORPUS,),
    state=(TOKENS,),
    writes=WITHDRAWN,
    config=Config,
    transform=transform,
    scope="lake",
    counts=counts,
    grow=grow,
    sees_versions=True,
)
