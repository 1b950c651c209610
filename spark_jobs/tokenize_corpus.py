"""Tokenise the corpus, and store the documents in shuffled order, so that reading them in sequence is reading them shuffled.

The order is by a keyed hash of doc_id. Files are ranges of that hash, so the stored order does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from tokenizers import Tokenizer

from schemas import configuration
from schemas.corpus import CORPUS
from schemas.tokens import TOKENIZERS, TOKENS
from spark_jobs.run_stage import Stage
from spark_jobs.text.tokenization.token_ids import encode_documents, token_type


class Config(configuration.Config):
    """Settings of the token files."""

    text_bytes_per_file: int = Field(default=512 << 20, gt=0)
    """Bytes of text that go into one token file; tokens take about half of that."""
    seed: int = 0
    """Shuffles the documents."""


def transform(corpus: DataFrame, tokenizers: DataFrame, *, config: Config) -> DataFrame:
    tokenizer = tokenizers.first()
    if tokenizer is None:
        # An empty corpus has no tokenizer, and no tokens.
        return corpus.sparkSession.createDataFrame([], TOKENS.spark())
    definition, fingerprint, end_id = tokenizer["definition"], tokenizer["fingerprint"], tokenizer["end_of_document_id"]

    def tokenize(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        encoder = Tokenizer.from_str(definition)
        for batch in batches:
            yield tokenize_batch(batch, encoder, end_id, fingerprint)

    total_bytes = corpus.agg(F.sum(F.octet_length("text"))).first()[0] or 0
    files = max(1, -(-total_bytes // config.text_bytes_per_file))
    keyed = corpus.select("doc_id", "source", F.xxhash64(F.lit(config.seed), F.col("doc_id")).alias("shuffle_key"), "text")
    return (
        keyed.mapInArrow(tokenize, TOKENS.spark())
        .repartitionById(files, hash_range(F.col("shuffle_key"), files))
        .sortWithinPartitions("source", "shuffle_key", "doc_id")
        .select(*TOKENS.column_names)
    )


def hash_range(key: Column, ranges: int) -> Column:
    """Which of `ranges` equal ranges of the signed 64-bit hashes the key lies in, in ascending order."""
    high_bits = F.shiftright(key, 32) + F.lit(1 << 31)
    return F.shiftright(high_bits * F.lit(ranges), 32).cast("int")


def tokenize_batch(batch: pa.RecordBatch, tokenizer: Tokenizer, end_of_document_id: int, fingerprint: str) -> pa.RecordBatch:
    """Rows of `tokens` for a batch with columns doc_id, source, shuffle_key and text."""
    tokens = encode_documents(tokenizer, batch.column("text").to_pylist(), end_of_document_id)
    width = token_type(tokenizer.get_vocab_size()).itemsize
    columns = [
        batch.column("doc_id"),
        batch.column("source"),
        batch.column("shuffle_key"),
        pa.array([len(document) // width for document in tokens], pa.int32()),
        pa.array(tokens, pa.binary()),
        pa.array([fingerprint] * len(tokens), pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=TOKENS.arrow())


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
)
