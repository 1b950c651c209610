"""Tokenise the corpus, and store the documents in shuffled order, so that reading them in sequence is reading them
shuffled.

The order is by a keyed hash of doc_id. Files are ranges of that hash, so the stored order does not depend on their
number. Documents that a later run finds in the corpus are appended as an increment with an order of its own: what is
stored stays where it is, so training runs go on with it and can take up the new. What has left the corpus stays too,
and is withdrawn (`withdraw_documents`); all tokens are written anew only where much is withdrawn.
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
from schemas.plumbing.errors import ContractError
from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.kernels.tokenization.token_ids import encode_documents, token_type
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.deliver.withdraw_documents import PLACE, TEXT, live_rows, next_increment

log = structlog.get_logger()

DETERMINED_BY = ("doc_id", *PLACE, "shuffle_key", *TEXT, "tokenizer")
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
    compact_above: float = Field(default=0.2, ge=0, le=1)
    """Share of the stored tokens that may be withdrawn; where more are, all tokens are written anew as one increment,
    for the training runs to come. Those that have begun go on with the versions that they began with."""


def transform(
    corpus: DataFrame, tokenizers: DataFrame, withdrawn: DataFrame, stored: DataFrame, *, config: Config
) -> DataFrame:
    """The tokens of all documents, as one increment that follows all that there were."""
    tokenizer = tokenizers.first()
    if tokenizer is None:
        # An empty corpus has no tokenizer, and no tokens.
        return corpus.sparkSession.createDataFrame([], TOKENS.spark())
    return _tokenize(corpus, tokenizer, next_increment(stored, withdrawn), config)


def grow(
    stored: DataFrame,
    corpus: DataFrame,
    tokenizers: DataFrame,
    withdrawn: DataFrame,
    _: DataFrame,
    *,
    config: Config,
) -> DataFrame | None:
    """The tokens of the documents that have no stored copy which still holds, as the next increment; None where all
    are to be written anew.

    `ContractError` where a copy still holds that the corpus does not have: it should have been withdrawn.
    """
    if config.on_new_data == "rewrite":
        return None
    tokenizer, live = tokenizers.first(), live_rows(stored, withdrawn)
    if tokenizer is None or _is_to_be_rewritten(stored, live, tokenizer["fingerprint"], config):
        return None
    fingerprint = F.lit(tokenizer["fingerprint"]).alias("tokenizer")
    wanted = corpus.select("doc_id", *PLACE, shuffle_key(config), *TEXT, fingerprint, "crawl")
    compared = wanted.join(
        live.select(*DETERMINED_BY, F.lit(True).alias("stored")), on=list(DETERMINED_BY), how="full_outer"
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
        raise ContractError(
            f"tokenize_corpus: {outdated['stored']} stored documents are not in the corpus as they are stored, and not "
            f"withdrawn either; withdraw_documents has to run before"
        )
    growing = [crawl for crawl, counts in crawls.items() if counts["new"]]
    # No row of a crawl that is wholly new has to be looked up, and texts are not shuffled.
    known = compared.where(
        F.col("crawl").isin([crawl for crawl in growing if crawls[crawl]["stored"]]) & is_stored
    ).select("doc_id")
    new = corpus.where(F.col("crawl").isin(growing)).join(F.broadcast(known), on="doc_id", how="left_anti")
    return _tokenize(new, tokenizer, next_increment(stored, withdrawn), config)


def _is_to_be_rewritten(stored: DataFrame, live: DataFrame, tokenizer: str, config: Config) -> bool:
    """Whether nothing is stored, all is of other settings, or too much of it is withdrawn."""
    is_other = (F.col("tokenizer") != tokenizer) | (F.col("shuffle_key") != shuffle_key(config))
    found = live.agg(F.sum("n_tokens").alias("live"), F.count_if(is_other).alias("other")).first()
    all_tokens = stored.agg(F.sum("n_tokens")).first()[0]
    if all_tokens is None:
        return True
    if found["other"]:
        log.info("another tokenizer or seed: all tokens are written anew", documents=found["other"])
        return True
    share = 1 - (found["live"] or 0) / all_tokens
    if share > config.compact_above:
        log.info("much is withdrawn: all tokens are written anew", share=round(share, 4), above=config.compact_above)
        return True
    return False


def standing(
    written: DataFrame, corpus: DataFrame, tokenizers: DataFrame, withdrawn: DataFrame, stored: DataFrame
) -> DataFrame:
    """The copies that stand for the documents of the corpus."""
    return live_rows(written, withdrawn)


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
    reads=(CORPUS, TOKENIZERS, WITHDRAWN),
    state=(TOKENS,),
    writes=TOKENS,
    config=Config,
    transform=transform,
    scope="lake",
    conserves=CORPUS,
    counts=counts,
    grow=grow,
    standing=standing,
)
