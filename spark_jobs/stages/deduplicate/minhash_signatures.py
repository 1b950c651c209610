"""The set of word n-grams of every document, as hashes, and its MinHash signature.

Word 5-grams and 112 hashes are FineWeb's (Penedo et al. 2024, arXiv:2406.17557, section 3.4). This is the last time
that near-duplicate detection reads text.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.tables.documents import DOCUMENTS
from schemas.tables.minhash import SIGNATURES
from spark_jobs.kernels.duplicates.minhash import signature
from spark_jobs.kernels.duplicates.shingles import shingle_hashes
from spark_jobs.lake.batches import map_batches
from spark_jobs.lake.stage import Stage


class Config(configuration.Config):
    """What a document is compared by."""

    words_per_shingle: int = Field(default=5, ge=1, le=64)
    """Words of an n-gram; a document with fewer words has no n-grams and is never a near-duplicate."""
    hashes: int = Field(default=112, ge=1, le=1024)
    """Hash functions of a signature; `index_bands` uses the first bands times rows of them."""
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    """Draws the hash functions, as datasketch's seed does."""


def transform(documents: DataFrame, *, config: Config) -> DataFrame:
    texts = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "text")
    settings = {"words_per_shingle": config.words_per_shingle, "hashes": config.hashes, "seed": config.seed}
    return map_batches(texts, partial(sign_batch, **settings), SIGNATURES)


def sign_batch(batch: pa.RecordBatch, words_per_shingle: int, hashes: int, seed: int) -> pa.RecordBatch:
    """Rows of `signatures` for a batch with columns doc_id, crawl and text; documents without a shingle are left
    out."""
    shingles = [shingle_hashes(text, words_per_shingle) for text in batch.column("text").to_pylist()]
    long_enough = pa.array([len(found) > 0 for found in shingles], pa.bool_())
    signed = [found for found in shingles if len(found) > 0]
    columns = [
        batch.column("doc_id").filter(long_enough),
        batch.column("crawl").filter(long_enough),
        pa.array(signed, SIGNATURES.arrow().field("shingles").type),
        pa.array([signature(found, hashes, seed).astype("<u4").tobytes() for found in signed], pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SIGNATURES.arrow())


STAGE = Stage(name="minhash_signatures", reads=(DOCUMENTS,), writes=SIGNATURES, config=Config, transform=transform)
