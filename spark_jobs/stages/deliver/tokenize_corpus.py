"""Tokenise the corpus, and store the documents in shuffled order, so that reading them in sequence is reading them
shuffled.

The order is by a keyed hash of doc_id. Files are ranges of that hash, so the stored order does not depend on their
number. Documents that a later run finds in the corpus are appended as an increment with an order of its own: what is
stored stays where it is, so training runs go on with it and can take up the new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import structlog
from pydantic import Field
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from tokenizers import Tokenizer

from schemas.plumbing import configuration
from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from spark_jobs.kernels.tokenization.token_ids import encode_documents, token_type
from spark_jobs.lake.stage import Stage

log = structlog.get_logger()

DETERMINED_BY = ("doc_id", "source", "shuffle_key", "weight", "text_hash", "tokenizer")
"""What the stored row of a document is made of."""


class Config(configuration.Config):
    """Settings of the token files."""

    text_bytes_per_file: int = Field(default=512 << 20, gt=0)
    """Bytes of text that go into one token file; tokens take about half of that. Files that are there already stay
    as they are."""
    seed: int = 0
    """Shuffles the documents."""
    on_new_data: Literal["append", "rewrite"] = "append"
    """Whether documents that are new become another increment, or all tokens are written anew as one. A training run
    reads from all increments in turn, with a row group or two of each in memory: after some hundreds it is time to
    rewrite."""


def transform(corpus: DataFrame, tokenizers: DataFrame, *, config: Config) -> DataFrame:
    """The tokens of all documents."""
    tokenizer = tokenizers.first()
    if tokenizer is None:
        # An empty corpus has no tokenizer, and no tokens.
        return corpus.sparkSession.createDataFrame([], TOKENS.spark())
    return _tokenize(corpus, tokenizer, 0, config)


def grow(stored: DataFrame, corpus: DataFrame, tokenizers: DataFrame, *, config: Config) -> DataFrame | None:
    """The tokens of the documents that are not stored yet, as the next increment; None where stored ones are no
    longer those of the corpus."""
    if config.on_new_data == "rewrite":
        return None
    tokenizer, last = tokenizers.first(), stored.agg(F.max("increment")).first()[0]
    if tokenizer is None or last is None:
        return None
    wanted = corpus.select(
        "doc_id",
        "source",
        shuffle_key(config),
        "weight",
        "text_hash",
        F.lit(tokenizer["fingerprint"]).alias("tokenizer"),
        "crawl",
    )
    compared = wanted.join(
        stored.select(*DETERMINED_BY, F.lit(True).alias("stored")), list(DETERMINED_BY), "full_outer"
    )
    is_stored = F.col("stored").isNotNull()
    crawls = {
        row["crawl"]: row
        for row in compared.groupBy("crawl")
        .agg(F.count_if(is_stored).alias("stored"), F.count_if(~is_stored).alias("new"))
        .collect()
    }
    outdated = crawls.pop(None, None)
    if outdated is not None:
        log.info(
            "documents have left the corpus, or changed: all tokens are written anew", documents=outdated["stored"]
        )
        return None
    growing = [crawl for crawl, counts in crawls.items() if counts["new"]]
    # No row of a crawl that is wholly new has to be looked up, and texts are not shuffled.
    known = compared.where(
        F.col("crawl").isin([crawl for crawl in growing if crawls[crawl]["stored"]]) & is_stored
    ).select("doc_id")
    new = corpus.where(F.col("crawl").isin(growing)).join(F.broadcast(known), "doc_id", "left_anti")
    return _tokenize(new, tokenizer, last + 1, config)


def _tokenize(corpus: DataFrame, tokenizer: Row, increment: int, config: Config) -> DataFrame:
    definition, fingerprint, end_id = tokenizer["definition"], tokenizer["fingerprint"], tokenizer["end_of_document_id"]

    def tokenize(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        encoder = Tokenizer.from_str(definition)
        for batch in batches:
            yield tokenize_batch(batch, encoder, end_id, increment=increment, fingerprint=fingerprint)

    total_bytes = corpus.agg(F.sum(F.octet_length("text"))).first()[0] or 0
    files = max(1, -(-total_bytes // config.text_bytes_per_file))
    keyed = corpus.select("doc_id", "source", shuffle_key(config), "weight", "text_hash", "text")
    return (
        keyed.mapInArrow(tokenize, TOKENS.spark())
        .repartitionById(files, hash_range(F.col("shuffle_key"), files))
        .sortWithinPartitions("source", "increment", "shuffle_key", "doc_id")
        .select(*TOKENS.column_names)
    )


def shuffle_key(config: Config) -> Column:
    return F.xxhash64(F.lit(config.seed), F.col("doc_id")).alias("shuffle_key")


def hash_range(key: Column, ranges: int) -> Column:
    """Which of `ranges` equal ranges of the signed 64-bit hashes the key lies in, in ascending order."""
    high_bits = F.shiftright(key, 32) + F.lit(1 << 31)
    return F.shiftright(high_bits * F.lit(ranges), 32).cast("int")


def tokenize_batch(
    batch: pa.RecordBatch, tokenizer: Tokenizer, end_of_document_id: int, *, increment: int, fingerprint: str
) -> pa.RecordBatch:
    """Rows of `tokens` for a batch with columns doc_id, source, shuffle_key, weight, text_hash and text."""
    tokens = encode_documents(tokenizer, batch.column("text").to_pylist(), end_of_document_id)
    width = token_type(tokenizer.get_vocab_size()).itemsize
    columns = {
        **{name: batch.column(name) for name in ("doc_id", "source", "shuffle_key", "weight", "text_hash")},
        "increment": pa.array([increment] * len(tokens), pa.int32()),
        "n_tokens": pa.array([len(document) // width for document in tokens], pa.int32()),
        "tokens": pa.array(tokens, pa.binary()),
        "tokenizer": pa.array([fingerprint] * len(tokens), pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns, schema=TOKENS.arrow())


def counts() -> dict[str, Column]:
    return {"tokens": F.coalesce(F.sum("n_tokens"), F.lit(0))}


STAGE = Stage(
    name="tokenize_corpus",
    reads=(CORPUS, TOKENIZERS),
    writes=TOKENS,
    config=Config,
    transform=transform,
    scope="lake",
    conserves=CORPUS,
    counts=counts,
    grow=grow,
)
