"""Near-duplicate removal on Spark against the greedy rule as one process runs it, and against union-find."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from pyspark.sql import DataFrame, Observation, SparkSession

from schemas.plumbing.errors import UsageError
from schemas.tables.duplicates import EXACT_DUPLICATES, NEAR_DUPLICATES
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.kernels.duplicates.union_find import smallest_reachable
from spark_jobs.stages.deduplicate import deduplicate_near, index_bands, minhash_signatures
from spark_jobs.stages.deduplicate.deduplicate_near import Config

pytestmark = pytest.mark.spark

CRAWLS = ("2025-01", "2025-02", "2025-03")


class Planted(NamedTuple):
    doc_id: str
    crawl: str
    text: str
    word_count: int


def planted_documents(count: int, seed: int) -> list[Planted]:
    """Random texts; half of them are edited copies of earlier ones, and copies of copies, from hardly to much
    changed."""
    draw = random.Random(seed)
    # Letters only: all numbers are compared as equal.
    vocabulary = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(3000)]
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and draw.random() < 0.5:
            words = list(draw.choice(texts[-200:]))
            edits = int(len(words) * draw.choice((0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1)))
            for _ in range(edits):
                words[draw.randrange(len(words))] = draw.choice(vocabulary)
            if draw.random() < 0.2:
                words = words[: draw.randrange(len(words) // 2, len(words))]
        else:
            words = draw.choices(vocabulary, k=draw.randrange(60, 200))
        texts.append(words)
    return [
        Planted(f"{draw.getrandbits(64):016x}", draw.choice(CRAWLS), " ".join(words), draw.choice((len(words), 50)))
        for words in texts
    ]


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def greedy_reference(
    in_order: Iterable[str],
    buckets: dict[str, list[tuple[int, int]]],
    shingles: dict[str, frozenset[int]],
    threshold: float,
    representatives: int,
) -> dict[str, tuple[str, float]]:
    """Each removed document to the first kept one that it is similar to; documents in order of priority."""
    kept_in: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    place: dict[str, int] = {}
    removed: dict[str, tuple[str, float]] = {}
    for number, doc_id in enumerate(in_order):
        place[doc_id] = number
        comparators = {earlier for bucket in buckets[doc_id] for earlier in kept_in[bucket][:representatives]}
        for earlier in sorted(comparators, key=place.__getitem__):
            similarity = jaccard(shingles[earlier], shingles[doc_id])
            if similarity >= threshold:
                removed[doc_id] = (earlier, similarity)
                break
        else:
            for bucket in buckets[doc_id]:
                kept_in[bucket].append(doc_id)
    return removed


class Corpus(NamedTuple):
    """Inputs of the stage as plain values."""

    in_order: list[str]
    """Documents by priority."""
    crawls: dict[str, str]
    quality: dict[str, float | None]
    buckets: dict[str, list[tuple[int, int]]]
    shingles: dict[str, frozenset[int]]

    def prefix(self, length: int) -> Corpus:
        return self._replace(in_order=self.in_order[:length])

    def reference(self, config: Config) -> dict[str, tuple[str, float]]:
        return greedy_reference(
            self.in_order, self.buckets, self.shingles, config.threshold, config.bucket_representatives
        )


def near_duplicates(
    spark: SparkSession,
    corpus: Corpus,
    config: Config,
    *,
    partitions: int = 3,
    exact: Iterable[str] = (),
    observation: Observation | None = None,
) -> dict[str, tuple[str, float]]:
    """Run the stage; each removed document to its representative and similarity."""
    ids = sorted(corpus.in_order)
    random.Random(partitions).shuffle(ids)
    signatures = spark.createDataFrame(
        [(i, corpus.crawls[i], sorted(corpus.shingles[i]), b"1234") for i in ids], SIGNATURES.spark()
    )
    bands = spark.createDataFrame(
        [(band, key, i, corpus.crawls[i]) for i in ids for band, key in corpus.buckets[i]], BAND_INDEX.spark()
    )
    signals = spark.createDataFrame(
        [(i, corpus.crawls[i], corpus.quality[i]) for i in ids], "doc_id string, crawl string, quality double"
    )
    exact_duplicates = spark.createDataFrame(
        [(i, corpus.crawls[i], "", 1.0, "") for i in exact], EXACT_DUPLICATES.spark()
    )
    inputs: list[DataFrame] = [
        table.repartition(partitions) for table in (signatures, bands, signals, exact_duplicates)
    ]
    rows = deduplicate_near.transform(
        *inputs, config=config.model_copy(update={"quality": "quality"}), observation=observation
    ).collect()
    assert len({row.doc_id for row in rows}) == len(rows)
    assert all(row.crawl == corpus.crawls[row.doc_id] for row in rows)
    return {row.doc_id: (row.representative_id, row.similarity) for row in rows}


@pytest.fixture(scope="module")
def planted(spark) -> Corpus:
    """1,000 planted documents, through the real signature and band stages."""
    documents = planted_documents(1000, seed=1)
    rows = [(d.doc_id, d.crawl, "extracted", d.text) for d in documents]
    frame = spark.createDataFrame(rows, "doc_id string, crawl string, extract_status string, text string")
    signatures = minhash_signatures.transform(frame, config=minhash_signatures.Config()).checkpoint()
    buckets = defaultdict(list)
    for row in index_bands.transform(signatures, config=index_bands.Config()).collect():
        buckets[row.doc_id].append((row.band, row.band_key))
    return Corpus(
        in_order=[d.doc_id for d in sorted(documents, key=lambda d: (d.crawl, -d.word_count, d.doc_id))],
        crawls={d.doc_id: d.crawl for d in documents},
        quality={d.doc_id: float(d.word_count) for d in documents},
        buckets=buckets,
        shingles={row.doc_id: frozenset(row.shingles) for row in signatures.collect()},
    )


def literal(buckets: dict[str, list[int]], shingles: dict[str, Iterable[int]]) -> Corpus:
    """A corpus of one crawl in order of doc_id."""
    return Corpus(
        in_order=sorted(buckets),
        crawls=dict.fromkeys(buckets, "c"),
        quality=dict.fromkeys(buckets, 1.0),
        buckets={doc_id: [(0, key) for key in keys] for doc_id, keys in buckets.items()},
        shingles={doc_id: frozenset(hashes) for doc_id, hashes in shingles.items()},
    )


def random_bucket_graphs(count: int, seed: int) -> Corpus:
    """Many small corpora side by side, each with few shingles and few, crowded buckets: nearly every document is
    similar to some."""
    draw = random.Random(seed)
    documents: dict[str, tuple[list[tuple[int, int]], frozenset[int]]] = {}
    for graph in range(count):
        for _ in range(draw.randrange(2, 25)):
            buckets = draw.sample(
                [(band, graph * 10 + key) for band in range(3) for key in range(2)], draw.randrange(1, 5)
            )
            documents[f"{draw.getrandbits(64):016x}"] = (
                buckets,
                frozenset(draw.sample(range(6), draw.randrange(2, 6))),
            )
    crawls = {doc_id: draw.choice(CRAWLS) for doc_id in documents}
    quality = {doc_id: draw.choice([None, float("nan"), -1.0, 0.0, 2.5]) for doc_id in documents}

    def priority(doc_id: str) -> tuple[str, bool, float, str]:
        value = quality[doc_id]
        measured = value is not None and value == value
        return crawls[doc_id], not measured, -value if measured else 0.0, doc_id

    return Corpus(
        in_order=sorted(documents, key=priority),
        crawls=crawls,
        quality=quality,
        buckets={doc_id: buckets for doc_id, (buckets, _) in documents.items()},
        shingles={doc_id: shingles for doc_id, (_, shingles) in documents.items()},
    )


def test_planted_near_duplicates_are_removed_as_one_process_would_remove_them(spark, planted):
    expected = planted.reference(Config())
    assert len(expected) > 200
    assert near_duplicates(spark, planted, Config()) == expected


@pytest.mark.parametrize(
    ("length", "config"),
    [
        (1, Config()),
        (333, Config(first_leaders=1, one_task_documents=0)),
        (700, Config(bucket_representatives=1)),
    ],
)
def test_a_prefix_by_priority_has_the_decisions_of_the_whole(spark, planted, length, config):
    prefix = planted.prefix(length)
    expected = {
        doc_id: evidence for doc_id, evidence in planted.reference(config).items() if doc_id in set(prefix.in_order)
    }
    assert near_duplicates(spark, prefix, config) == expected


def test_the_rule_itself_decides_every_prefix_as_the_whole(planted):
    config = Config(bucket_representatives=2)
    whole = planted.reference(config)
    for length in range(0, len(planted.in_order), 7):
        prefix = planted.prefix(length)
        assert prefix.reference(config) == {doc_id: whole[doc_id] for doc_id in prefix.in_order if doc_id in whole}


@pytest.mark.parametrize(
    "config",
    [
        Config(threshold=0.5, bucket_representatives=1, first_leaders=1),
        Config(threshold=0.5, bucket_representatives=3, first_leaders=1, one_task_documents=50),
    ],
)
def test_crowded_random_buckets_are_decided_as_one_process_would_decide_them(spark, config):
    corpus = random_bucket_graphs(60, seed=config.bucket_representatives)
    expected = corpus.reference(config)
    assert len(expected) > 50
    assert near_duplicates(spark, corpus, config) == expected


def test_partitions_and_order_of_the_input_do_not_matter(spark, planted):
    prefix = planted.prefix(300)
    expected = prefix.reference(Config())
    for partitions in (1, 7):
        assert near_duplicates(spark, prefix, Config(), partitions=partitions) == expected


@pytest.fixture(scope="module")
def bucket_counts() -> Observation:
    """What the run of `small_cases` counts for the ledger."""
    return Observation("buckets")


@pytest.fixture(scope="module")
def small_cases(spark, bucket_counts) -> dict[str, tuple[str, float]]:
    """One run on corpora side by side that share no bucket, told apart by the names of their documents."""
    cases = {
        "chain 1": ([1], range(0, 10)),
        "chain 2": ([1, 2], range(1, 11)),
        "chain 3": ([2], range(2, 12)),
        "unlike 1": ([10], [1, 2]),
        "unlike 2": ([10], [3, 4]),
        "apart 1": ([20], [1, 2]),
        "apart 2": ([21], [1, 2]),
        "exact 1": ([30], [1]),
        "exact 2": ([30], [1]),
        "exact 3": ([30], [1]),
        **{f"hot {number:02}": ([40], [number % 20]) for number in range(40)},
        **{f"equal {number:04}": ([50, 51], [1, 2, 3]) for number in range(1000)},
    }
    corpus = literal(
        {doc_id: keys for doc_id, (keys, _) in cases.items()}, {doc_id: hashes for doc_id, (_, hashes) in cases.items()}
    )
    return near_duplicates(
        spark,
        corpus,
        Config(threshold=0.75, bucket_representatives=5, first_leaders=2),
        exact=["exact 1"],
        observation=bucket_counts,
    )


def only(removed: dict[str, tuple[str, float]], case: str) -> dict[str, tuple[str, float]]:
    return {doc_id: evidence for doc_id, evidence in removed.items() if doc_id.startswith(case)}


def test_a_chain_of_likenesses_does_not_remove_its_end(small_cases):
    assert only(small_cases, "chain") == {"chain 2": ("chain 1", 9 / 11)}


def test_a_shared_bucket_without_similarity_removes_nothing(small_cases):
    assert only(small_cases, "unlike") == {}


def test_likenesses_that_share_no_bucket_are_not_compared(small_cases):
    assert only(small_cases, "apart") == {}


def test_exact_duplicates_are_neither_removed_again_nor_compared_with(small_cases):
    assert only(small_cases, "exact") == {"exact 3": ("exact 2", 1.0)}


def test_in_a_hot_bucket_only_the_first_kept_documents_are_compared_with(small_cases):
    assert only(small_cases, "hot") == {f"hot {number + 20}": (f"hot {number:02}", 1.0) for number in range(5)}


def test_buckets_and_hot_ones_are_counted_for_the_ledger(small_cases, bucket_counts):
    # Chains have two buckets, equal documents two, and unlike, exact and hot ones one each.
    assert bucket_counts.get == {"buckets": 7, "largest_bucket": 1000, "hot_buckets": 1}


def test_a_hot_bucket_of_equal_documents_leaves_the_first(small_cases):
    assert only(small_cases, "equal") == dict.fromkeys(
        [f"equal {number:04}" for number in range(1, 1000)], ("equal 0000", 1.0)
    )


def test_no_documents_have_no_duplicates(spark):
    for rule in ("greedy", "components"):
        observation = Observation(rule)
        assert near_duplicates(spark, literal({}, {}), Config(rule=rule), observation=observation) == {}
        assert observation.get == {"buckets": 0, "largest_bucket": 0, "hot_buckets": 0}


def test_components_remove_all_but_the_first_of_each(spark, planted):
    edges = []
    first: dict[tuple[int, int], int] = {}
    for place, doc_id in enumerate(planted.in_order):
        edges += [(first.setdefault(bucket, place), place) for bucket in planted.buckets[doc_id]]
    roots = {
        planted.in_order[place]: planted.in_order[root]
        for place, root in smallest_reachable(edges).items()
        if place != root
    }
    expected = {
        doc_id: (root, jaccard(planted.shingles[root], planted.shingles[doc_id])) for doc_id, root in roots.items()
    }
    assert near_duplicates(spark, planted, Config(rule="components")) == expected
    assert near_duplicates(spark, planted, Config(rule="components", one_task_documents=0)) == expected


def test_an_unknown_quality_signal_is_named(spark):
    signals = spark.createDataFrame([], "doc_id string, crawl string, gopher_quality_word_count long")
    empty = (spark.createDataFrame([], table.spark()) for table in (SIGNATURES, BAND_INDEX))
    with pytest.raises(
        UsageError, match="quality: signals has no column 'wordcount'; it has gopher_quality_word_count"
    ):
        deduplicate_near.transform(
            *empty, signals, spark.createDataFrame([], EXACT_DUPLICATES.spark()), config=Config(quality="wordcount")
        )


def test_an_empty_output_has_the_shape_of_its_contract(spark):
    inputs = [spark.createDataFrame([], table.spark()) for table in (SIGNATURES, BAND_INDEX)]
    signals = spark.createDataFrame([], "doc_id string, crawl string, gopher_quality_word_count long")
    output = deduplicate_near.transform(
        *inputs, signals, spark.createDataFrame([], EXACT_DUPLICATES.spark()), config=Config()
    )
    assert tuple(output.columns) == NEAR_DUPLICATES.column_names
