"""Precision and recall of near-duplicate removal on planted edits, through the real stages: `python
bench/near_duplicates.py`.

Pages have words replaced so that their Jaccard similarity to the original is spread from 0.45 to 1. True
similarities are those of sets of strings, no hashes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from planted_texts import SEED, pages
from pyspark.sql import SparkSession

from schemas.plumbing.logs import configure_logs
from spark_jobs.ask.recall import expected_recall
from spark_jobs.kernels.duplicates.shingles import comparable_words
from spark_jobs.lake.session import SessionConfig, start_session
from spark_jobs.stages.deduplicate import (
    compare_texts,
    deduplicate,
    find_candidates,
    index_bands,
    minhash_signatures,
)
from spark_jobs.stages.deduplicate.settings import Settings

WORDS = 300
PAIRS = 1500
THRESHOLD = 0.7
BINS = tuple(number / 20 for number in range(9, 20))
"""Lower ends of bins of similarity, 0.05 wide."""


class Pair(NamedTuple):
    """A page and its edited copy."""

    original: str
    copy: str
    similarity: float


def shingles(text: str) -> frozenset[bytes]:
    words = comparable_words(text)
    return frozenset(b" ".join(words[start : start + 5]) for start in range(len(words) - 4))


def jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    return len(one & other) / len(one | other)


def planted_pairs() -> Iterator[Pair]:
    """Copies in which each word is replaced with a probability that makes the wanted similarity likely."""
    draw = random.Random(SEED)
    originals = pages(WORDS)
    draw.shuffle(originals)
    vocabulary = sorted({word for page in originals for word in page.split() if word.isalpha()})
    for original in originals[:PAIRS]:
        wanted = draw.uniform(0.45, 1.0)
        # A shingle of five words stays with probability (1 - p)^5, and a share f of common shingles makes a similarity
        # of f / (2 - f).
        replaced = 1 - (2 * wanted / (1 + wanted)) ** 0.2
        copy = " ".join(draw.choice(vocabulary) if draw.random() < replaced else word for word in original.split())
        yield Pair(original, copy, jaccard(shingles(original), shingles(copy)))


def removed_and_met(
    spark: SparkSession, texts: dict[str, str]
) -> tuple[dict[str, tuple[str, float]], dict[str, set[tuple[int, int]]]]:
    """Removed documents with representative and similarity, and the buckets of each document, from the stages as a
    pipeline runs them."""
    rows = [(doc_id, "c", "extracted", text, doc_id, None, None) for doc_id, text in texts.items()]
    columns = "doc_id string, crawl string, extract_status string, text string, text_hash string, url string"
    documents = spark.createDataFrame(rows, f"{columns}, fetched_at timestamp").repartition(4)
    signatures = minhash_signatures.transform(documents, config=minhash_signatures.Config()).checkpoint()
    bands = index_bands.transform(signatures, config=index_bands.Config()).checkpoint()
    # An original has the higher quality, so that it comes first.
    qualities = [(doc_id, "c", int(doc_id.endswith("a"))) for doc_id in texts]
    signals = spark.createDataFrame(qualities, "doc_id string, crawl string, gopher_quality_word_count long")
    eligibility = documents.selectExpr("doc_id", "crawl", "'eligible' AS outcome")
    crawls = spark.createDataFrame([("c", 0)], "crawl string, ordinal int")
    settings = Settings(threshold=THRESHOLD, words_per_shingle=5, exact=True, near=True, url=False)
    inputs = (documents, eligibility, crawls, signals)
    pairs = find_candidates.transform(*inputs, bands, config=settings).checkpoint()
    similarities = compare_texts.transform(pairs, signatures, config=settings).checkpoint()
    near = deduplicate.transform(*inputs, pairs, similarities, config=settings)
    buckets: dict[str, set[tuple[int, int]]] = {}
    for row in bands.select("doc_id", "band", "band_key").collect():
        buckets.setdefault(row.doc_id, set()).add((row.band, row.band_key))
    return {row.doc_id: (row.representative_id, row.similarity) for row in near.collect()}, buckets


def main() -> None:
    configure_logs()
    pairs = list(planted_pairs())
    texts = {
        f"{number:06}{letter}": text
        for number, pair in enumerate(pairs)
        for letter, text in (("a", pair.original), ("b", pair.copy))
    }
    spark = start_session(
        SessionConfig(master="local[2]", driver_memory="3g", shuffle_partitions=4), app_name="bench near duplicates"
    )
    removed, buckets = removed_and_met(spark, texts)
    spark.stop()
    similarities = np.array([pair.similarity for pair in pairs])
    met = np.array([not buckets[f"{number:06}a"].isdisjoint(buckets[f"{number:06}b"]) for number in range(len(pairs))])
    expected = np.array([expected_recall(similarity, 14, 8) for similarity in similarities])
    taken = np.array([f"{number:06}b" in removed for number in range(len(pairs))])
    print(f"{len(pairs):,} pages of {WORDS} words with an edited copy each; 14 bands x 8 rows, threshold {THRESHOLD}")
    print(f"{'similarity':<13}{'pairs':>6}{'S-curve':>9}{'in a bucket':>13}{'deviation':>11}{'removed':>9}")
    furthest = 0.0
    for low in BINS:
        inside = (similarities >= low) & (similarities < low + 0.05 - 1e-9)
        count = int(inside.sum())
        if not count:
            continue
        # Standard errors of a share of so many independent pairs.
        error = float(np.sqrt((expected[inside] * (1 - expected[inside])).sum())) / count
        deviation = float(met[inside].mean() - expected[inside].mean()) / max(error, 1 / count)
        furthest = max(furthest, abs(deviation))
        shares = (
            f"{expected[inside].mean():>9.3f}{met[inside].mean():>13.3f}{deviation:>+11.1f}{taken[inside].mean():>9.3f}"
        )
        print(f"{low:.2f} - {low + 0.05:.2f}  {count:>6}{shares}")
    true = {doc_id: jaccard(shingles(texts[doc_id]), shingles(texts[kept])) for doc_id, (kept, _) in removed.items()}
    right = sum(similarity >= THRESHOLD for similarity in true.values())
    wrong_by = max((abs(true[doc_id] - stated) for doc_id, (_, stated) in removed.items()), default=0.0)
    above = similarities >= THRESHOLD
    precision = right / len(removed)
    print(
        f"removed {len(removed):,}, truly at {THRESHOLD} or above {right:,}: precision {precision:.4f}; similarities "
        f"differ by {wrong_by:.2g} at most"
    )
    print(
        f"recall from {THRESHOLD} on {taken[above].mean():.3f}, by the S-curve {expected[above].mean():.3f}; furthest "
        f"off by {furthest:.1f} standard errors"
    )
    if precision < 0.99 or furthest > 4:
        raise SystemExit("near-duplicates are not found as they should be")


if __name__ == "__main__":
    main()
