"""Repeated substrings through the real stage: equal to a suffix array on 10 MB, and seconds from 1x to 16x: `python
bench/substrings.py [MB]`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from planted_texts import natural_documents, planted_documents
from pyspark.sql import DataFrame, SparkSession
from suffix_array import repeated_tokens

from schemas.plumbing.logs import configure_logs
from spark_jobs.kernels.duplicates.anchors import find_tokens
from spark_jobs.lake.session import SessionConfig, start_session
from spark_jobs.stages.edit.deduplicate_substrings import Config, transform

TOKENS = 50
ORACLE_CHARACTERS = 10_000_000
SCALES = (1, 2, 4, 8, 16)


def stored(spark: SparkSession, texts: list[str], folder: Path) -> tuple[DataFrame, DataFrame, DataFrame]:
    """The stage's inputs for texts in order of priority."""
    ids = [f"{number:032x}" for number in range(len(texts))]
    columns = {
        "doc_id": ids,
        "crawl": ["c"] * len(ids),
        "text": texts,
        "outcome": ["kept"] * len(ids),
        "gopher_quality_word_count": [0] * len(ids),
    }
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "documents.parquet", row_group_size=500)
    data = spark.read.parquet(str(folder)).repartition(16)
    data.write.parquet(str(folder / "split"))
    data = spark.read.parquet(str(folder / "split"))
    return (
        data.select("doc_id", "crawl", "text"),
        data.select("doc_id", "crawl", "outcome"),
        data.select("doc_id", "crawl", "gopher_quality_word_count"),
    )


def measure(spark: SparkSession, texts: list[str], folder: Path) -> tuple[float, pa.Table]:
    """Seconds of the stage, its output written, and the spans."""
    inputs = stored(spark, texts, folder)
    started = time.monotonic()
    transform(*inputs, config=Config(substring_tokens=TOKENS)).write.parquet(str(folder / "spans"))
    seconds = time.monotonic() - started
    return seconds, pq.read_table(folder / "spans", columns=["doc_id", "start", "end"])


def compare_with_the_oracle(texts: list[str], spans: pa.Table) -> tuple[float, int, int, int]:
    """Seconds of the suffix array, tokens in all, tokens that it says are repeated, and tokens on which the stage
    differs."""
    found = [find_tokens(text) for text in texts]
    places = [zip(its.text_starts.tolist(), its.text_ends.tolist(), strict=True) for its in found]
    words = [[text[start:end] for start, end in its] for text, its in zip(texts, places, strict=True)]
    started = time.monotonic()
    expected = repeated_tokens(words, TOKENS)
    seconds = time.monotonic() - started
    actual = [np.zeros(len(its), dtype=bool) for its in words]
    for doc_id, start, end in zip(
        *(spans.column(name).to_pylist() for name in ("doc_id", "start", "end")), strict=True
    ):
        number = int(doc_id, 16)
        first, last = np.searchsorted(found[number].text_starts, start), np.searchsorted(found[number].text_ends, end)
        actual[number][first : last + 1] = True
    differing = sum(int((one != other).sum()) for one, other in zip(actual, expected, strict=True))
    return seconds, sum(map(len, words)), sum(int(its.sum()) for its in expected), differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("megabytes", nargs="?", type=float, default=5.0, help="size of 1x")
    unit = parser.parse_args().megabytes
    configure_logs()
    spark = start_session(
        SessionConfig(master="local[2]", driver_memory="3g", shuffle_partitions=8), app_name="bench substrings"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measure(spark, planted_documents(300_000, seed=9), folder / "warm-up")
        natural = natural_documents()
        texts = natural + planted_documents(max(0, ORACLE_CHARACTERS - sum(map(len, natural))), seed=1)
        seconds, spans = measure(spark, texts, folder / "oracle")
        oracle_seconds, tokens, repeated, differing = compare_with_the_oracle(texts, spans)
        print(
            f"{sum(map(len, texts)) / 1e6:.1f} MB, {len(texts):,} documents, {tokens:,} tokens, windows of {TOKENS} "
            f"tokens"
        )
        print(f"suffix array on one core: {oracle_seconds:.1f} s, {repeated:,} tokens repeated")
        print(f"the stage on two cores: {seconds:.1f} s, differs on {differing:,} tokens")
        print(f"{'scale':>5} {'MB':>7} {'documents':>10} {'spans':>9} {'seconds':>9} {'MB/s':>7} {'times 1x':>9}")
        first = 0.0
        for scale in SCALES:
            texts = planted_documents(int(scale * unit * 1e6), seed=scale)
            seconds, spans = measure(spark, texts, folder / f"{scale}x")
            first = first or seconds
            size = sum(map(len, texts)) / 1e6
            rates = f"{seconds:>9.1f} {size / seconds:>7.2f} {seconds / first:>9.2f}"
            print(f"{scale:>4}x {size:>7.1f} {len(texts):>10,} {spans.num_rows:>9,} {rates}", flush=True)
    spark.stop()
    if differing:
        raise SystemExit("the stage differs from the suffix array")


if __name__ == "__main__":
    main()
