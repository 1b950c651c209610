"""The keys of `deduplicate`, and the documents among which duplicates are decided, in their order."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from spark_jobs.stages.deduplicate.priority import with_priority


class Config(configuration.Config):
    """Which documents repeat others, and which of them stays. Only eligible documents take part: those that no other
    rule of the policy rejects."""

    scope: Literal["lake", "crawl"] = "lake"
    """Whether a document may repeat one of an earlier crawl, or only one of its own, as in FineWeb (arXiv:2406.17557,
    section 3.4), which deduplicates within each crawl."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    """Jaccard similarity of the shingle sets from which texts are similar. Below 0.72, 14 x 8 bands miss many pairs:
    see `corpus recall`."""
    keep: Literal["best", "newest"] = "best"
    """Among documents of one crawl that are alike, the one of the highest `quality` stays, or that with the latest
    `fetched_at`; one of an earlier crawl always stays, so that later crawls undo nothing."""
    quality: str = "gopher_quality_word_count"
    """Signal whose highest value is the best."""
    bucket_representatives: int = Field(default=64, ge=1)
    """Eligible texts of a bucket, the first by priority, that all its later ones are compared with; bounds the work of
    hot buckets, and belongs to the rule."""
    one_task_documents: int = Field(default=1_000_000, ge=0)
    """Documents (or edges between them) up to which one task decides; more are first cut into what hangs together. The
    result does not depend on it."""


class Settings(Config):
    """What the stages run under: the keys, and what the rest of the pipeline says that bears on them."""

    words_per_shingle: int
    """That of `minhash_signatures`."""
    exact: bool
    """Whether the policy rejects equal texts."""
    near: bool
    """Whether the policy rejects similar texts."""
    url: bool
    """Whether the policy rejects further captures of a page."""

    @property
    def scheme(self) -> str:
        """What sets of shingles are made of; similarities of two schemes do not mix."""
        return f"word {self.words_per_shingle}-grams, version 1"

    @property
    def within(self) -> tuple[str, ...]:
        """Columns that documents must have in common to be alike."""
        return ("crawl",) if self.scope == "crawl" else ()


def settings(pipeline: Any) -> Settings:
    """From the configuration of the whole pipeline."""
    kinds = pipeline.select_corpus.policy.duplicates
    return Settings(
        **pipeline.deduplicate.model_dump(),
        words_per_shingle=pipeline.minhash_signatures.words_per_shingle,
        exact=kinds.exact,
        near=kinds.near,
        url=kinds.url,
    )


def eligible_documents(documents: DataFrame, eligibility: DataFrame) -> DataFrame:
    """(doc_id, crawl, text_hash, url, fetched_at) of the documents that no other rule rejects."""
    eligible = eligibility.where(F.col("outcome") == "eligible").select("doc_id")
    return documents.select("doc_id", "crawl", "text_hash", "url", "fetched_at").join(
        eligible, on="doc_id", how="left_semi"
    )


def in_order(eligible: DataFrame, crawls: DataFrame, signals: DataFrame, config: Config) -> DataFrame:
    """The documents with a column `position`, a number that ascends in order of priority."""
    measured, quality = signals, config.quality
    if config.keep == "newest":
        measured = eligible.select("doc_id", F.unix_micros("fetched_at").alias("fetched_at"))
        quality = "fetched_at"
    ordered = with_priority(eligible, crawls, measured, quality).orderBy("priority")
    # After a total sort these numbers ascend over the partitions too. Their values depend on the partitions, but only
    # their order is used and none is stored.
    return ordered.select(*eligible.columns, F.monotonically_increasing_id().alias("position"))


def similar_texts(similar: DataFrame, texts: DataFrame, name: str, within: tuple[str, ...]) -> DataFrame:
    """(one, two, similarity): pairs of similar texts by the column `name` of `texts` (text_hash, `name`), which has a
    row for each text, or one in each crawl where documents must have that in common."""
    one = texts.select(F.col("text_hash").alias("text"), *within, F.col(name).alias("one"))
    two = texts.select(F.col("text_hash").alias("other"), *within, F.col(name).alias("two"))
    both = similar.join(one, on="text", how="inner").join(two, on=["other", *within], how="inner")
    return both.select("one", "two", "similarity")


def similar_pairs(candidate_pairs: DataFrame, similarities: DataFrame, settings: Settings) -> DataFrame:
    """(text, other, similarity) of the candidate pairs that are similar. Pairs that only another policy asked for say
    nothing here: what is decided depends on the documents and the policy, not on what was decided before."""
    similar = similarities.where((F.col("scheme") == settings.scheme) & (F.col("similarity") >= settings.threshold))
    asked = candidate_pairs.select("text", "other")
    return similar.select("text", "other", "similarity").join(asked, on=["text", "other"], how="left_semi")
