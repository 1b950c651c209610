"""Train the tokenizer on a sample of the corpus.

The sample is chosen by a keyed hash of doc_id, so it does not depend on partitioning and grows by adding documents only. It is trained in one task,
on an executor: the driver sees no text.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas import configuration
from schemas.corpus import CORPUS
from schemas.tokens import TOKENIZERS
from spark_jobs.run_stage import Stage
from spark_jobs.text.byte_level_bpe import END_OF_DOCUMENT, tokenizer_fingerprint, train_byte_level_bpe

HASH_RANGE = 1 << 30


class Config(configuration.Config):
    """Settings of the tokenizer."""

    vocabulary_size: int = Field(default=32_768, ge=300, le=1 << 20)
    """Token ids to aim for, the 256 bytes and the special tokens included."""
    split_digits: bool = True
    """Whether every digit is a token of its own."""
    sample_bytes: int = Field(default=1 << 30, gt=0)
    """About how many bytes of text to train on; the sample must fit in the memory of one task."""
    seed: int = 0
    """Chooses the sample."""


def transform(corpus: DataFrame, *, config: Config) -> DataFrame:
    total_bytes = corpus.agg(F.sum(F.octet_length("text"))).first()[0] or 0
    share = min(1.0, config.sample_bytes / total_bytes) if total_bytes else 1.0
    in_sample = F.pmod(F.xxhash64(F.lit(config.seed), F.col("doc_id")), F.lit(HASH_RANGE)) < int(share * HASH_RANGE)
    sample = corpus.where(in_sample).select("doc_id", "text").repartition(1).sortWithinPartitions("doc_id").select("text")

    def train(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        row = train_on_sample(batches, config)
        yield pa.RecordBatch.from_pylist([] if row is None else [row], schema=TOKENIZERS.arrow())

    return sample.mapInArrow(train, TOKENIZERS.spark()).select(*TOKENIZERS.column_names)


def train_on_sample(batches: Iterator[pa.RecordBatch], config: Config) -> dict[str, object] | None:
    """The row of the trained tokenizer, or None where the sample is empty."""
    documents = size = 0

    def texts() -> Iterator[str]:
        nonlocal documents, size
        for batch in batches:
            for text in batch.column("text").to_pylist():
                documents += 1
                size += len(text.encode())
                yield text

    tokenizer = train_byte_level_bpe(texts(), config.vocabulary_size, split_digits=config.split_digits)
    if documents == 0:
        return None
    definition = tokenizer.to_str()
    return {
        "fingerprint": tokenizer_fingerprint(definition),
        "kind": "byte-level-bpe",
        "vocabulary_size": tokenizer.get_vocab_size(),
        "end_of_document_id": tokenizer.token_to_id(END_OF_DOCUMENT),
        "definition": definition,
        "sample_documents": documents,
        "sample_bytes": size,
    }


STAGE = Stage(name="train_tokenizer", reads=(CORPUS,), writes=TOKENIZERS, config=Config, transform=transform, scope="lake")
