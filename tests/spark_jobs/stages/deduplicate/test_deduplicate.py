"""The stages on Spark against a plain loop that filters, and then removes greedily."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from pyspark.sql import DataFrame, Observation, SparkSession

from schemas.plumbing.errors import UsageError
from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CANDIDATE_PAIRS, CLUSTERS, DUPLICATES, SIMILARITIES
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.kernels.duplicates.union_find import smallest_reachable
from spark_jobs.stages.deduplicate import cluster_duplicates, compare_texts, deduplicate, find_candidates
from spark_jobs.stages.deduplicate.settings import Settings
from tests.spark_jobs.stages.deduplicate.small_lakes import Document, SmallLake, greedy, jaccard, random_lake

pytestmark = pytest.mark.spark

ALL = {"words_per_shingle": 5, "exact": True, "near": True, "url": True}


class Tables:
    """The tables of a small lake that the stages read."""

    def __init__(self, spark: SparkSession, lake: SmallLake) -> None:
        documents, eligibility, signals, signatures, bands = [], [], [], [], []
        for d in lake.documents:
            row = {"doc_id": d.doc_id, "crawl": d.crawl, "text_hash": d.text, "url": d.url}
            documents.append(tuple(row.get(name) for name in DOCUMENTS.column_names))
            outcome = ("eligible", [], 1.0) if d.eligible else ("rejected", ["a.rule"], 0.0)
            eligibility.append((d.doc_id, d.crawl, "p", *outcome, None))
            signals.append((d.doc_id, d.crawl, d.quality))
            if d.text in lake.shingles:
                signatures.append((d.doc_id, d.crawl, sorted(lake.shingles[d.text]), b"\0" * 4))
                bands += [(band, key, d.doc_id, d.crawl) for band, key in sorted(lake.buckets[d.text])]
        crawls = sorted({(d.crawl, d.ordinal) for d in lake.documents})
        self.documents = spark.createDataFrame(documents, nullable(DOCUMENTS)).repartition(3)
        self.eligibility = spark.createDataFrame(eligibility, ELIGIBILITY.spark())
        self.crawls = spark.createDataFrame([(*crawl, None) for crawl in crawls], nullable(CRAWLS))
        self.signals = spark.createDataFrame(signals, "doc_id string, crawl string, gopher_quality_word_count double")
        self.signatures = spark.createDataFrame(signatures, SIGNATURES.spark()).repartition(2)
        self.bands = spark.createDataFrame(bands, BAND_INDEX.spark()).repartition(3)


def nullable(table):
    schema = table.spark()
    for field in schema.fields:
        field.nullable = True
    return schema


def decided(tables: Tables, settings: Settings, stored: DataFrame | None = None) -> dict[str, DataFrame]:
    """What each stage gives; `stored` are similarities of a run before."""
    observation = Observation("buckets")
    inputs = (tables.documents, tables.eligibility, tables.crawls, tables.signals)
    pairs = find_candidates.transform(*inputs, tables.bands, config=settings, observation=observation).checkpoint()
    if stored is None:
        similarities = compare_texts.transform(pairs, tables.signatures, config=settings).checkpoint()
    else:
        similarities = stored.union(compare_texts.grow(stored, pairs, tables.signatures, config=settings)).checkpoint()
    found = {
        CANDIDATE_PAIRS.name: pairs,
        SIMILARITIES.name: similarities,
        DUPLICATES.name: deduplicate.transform(*inputs, pairs, similarities, config=settings),
        CLUSTERS.name: cluster_duplicates.transform(
            tables.documents, tables.eligibility, pairs, similarities, config=settings
        ),
    }
    for table in (CANDIDATE_PAIRS, SIMILARITIES, DUPLICATES, CLUSTERS):
        table.require({name: kind.replace("bigint", "long") for name, kind in found[table.name].dtypes}, table.name)
    return found


def evidence(duplicates: DataFrame) -> dict[tuple[str, str], tuple[str, float | None]]:
    rows = duplicates.collect()
    found = {
        (row.doc_id, row.kind): (row.representative_id, row.similarity and round(row.similarity, 9)) for row in rows
    }
    assert len(found) == len(rows)
    return found


def rounded(expected):
    return {
        key: (representative, similarity and round(similarity, 9))
        for key, (representative, similarity) in expected.items()
    }


@pytest.fixture(scope="module")
def lake() -> SmallLake:
    return random_lake(random.Random(5), 300)


@pytest.fixture(scope="module")
def tables(spark, lake) -> Tables:
    return Tables(spark, lake)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"one_task_documents": 0},
        {"scope": "crawl"},
        {"bucket_representatives": 1, "url": False},
        {"threshold": 0.9, "exact": False},
        {"near": False},
    ],
    ids=str,
)
def test_duplicates_are_those_of_a_plain_greedy_loop_over_eligible_documents(tables, lake, changed):
    settings = Settings(**ALL | changed)
    expected = greedy(lake, settings)
    assert evidence(decided(tables, settings)[DUPLICATES.name]) == rounded(expected)
    kinds = [kind for _, kind in expected]
    assert min(kinds.count(kind) for kind in ("exact", "near", "url") if getattr(settings, kind)) > 3
    eligible = {document.doc_id for document in lake.documents if document.eligible}
    removed = {doc_id for doc_id, _ in expected}
    assert {representative for representative, _ in expected.values()} <= eligible - removed


def test_what_was_compared_under_another_policy_is_not_compared_again_and_says_nothing_here(spark, tables, lake):
    """Another policy finds other documents eligible, so that other texts come first in a bucket."""
    settings = Settings(**ALL | {"bucket_representatives": 2})
    draw = random.Random(9)
    other = SmallLake(
        tuple(
            Document(*(getattr(d, name) for name in d.__dataclass_fields__ if name != "eligible"), draw.random() < 0.5)
            for d in lake.documents
        ),
        lake.shingles,
        lake.buckets,
    )
    before = decided(Tables(spark, other), settings)[SIMILARITIES.name]
    after = decided(tables, settings, stored=before)
    rows = after[SIMILARITIES.name].collect()
    assert len({(row.text, row.other) for row in rows}) == len(rows)
    assert len(rows) > after[CANDIDATE_PAIRS.name].count() > 0
    assert all(
        row.similarity == pytest.approx(jaccard(lake.shingles[row.text], lake.shingles[row.other])) for row in rows
    )
    assert evidence(after[DUPLICATES.name]) == rounded(greedy(lake, settings))


def test_similarities_of_other_sets_of_shingles_are_made_anew(tables):
    pairs = find_candidates.transform(
        tables.documents, tables.eligibility, tables.crawls, tables.signals, tables.bands, config=Settings(**ALL)
    )
    stored = compare_texts.transform(pairs, tables.signatures, config=Settings(**ALL))
    assert compare_texts.grow(stored, pairs, tables.signatures, config=Settings(**ALL)).isEmpty()
    assert (
        compare_texts.grow(stored, pairs, tables.signatures, config=Settings(**ALL | {"words_per_shingle": 4})) is None
    )


def test_clusters_are_components_of_equal_and_similar_eligible_texts(tables, lake):
    settings = Settings(**ALL)
    found = decided(tables, settings)
    crawls = {document.doc_id: document.crawl for document in lake.documents}
    eligible = [document for document in lake.documents if document.eligible]
    firsts: dict[str, str] = {}
    for document in eligible:
        firsts.setdefault(document.text, document.doc_id)
    edges = [(d.doc_id, firsts[d.text]) for d in eligible if d.doc_id != firsts[d.text]]
    edges += [
        (firsts[row.text], firsts[row.other])
        for row in found[SIMILARITIES.name].collect()
        if row.similarity >= settings.threshold
    ]
    components = smallest_reachable(edges)
    sizes = {root: list(components.values()).count(root) for root in components.values()}
    rows = found[CLUSTERS.name].collect()
    assert {row.doc_id: (row.crawl, row.cluster_id, row.cluster_size) for row in rows} == {
        doc_id: (crawls[doc_id], root, sizes[root]) for doc_id, root in components.items()
    }


def test_a_hot_bucket_is_counted_and_costs_its_size(spark):
    """A thousand texts of one bucket, all similar to the first: it stays, and all others name it."""
    shingles = {f"{n:064x}": frozenset((*range(30), 1000 + n)) for n in range(1000)}
    documents = tuple(
        Document(f"d{n:04}", "c", 0, text, None, float(1000 - n), True) for n, text in enumerate(sorted(shingles))
    )
    lake = SmallLake(documents, shingles, dict.fromkeys(shingles, frozenset({(0, 7)})))
    settings = Settings(**ALL | {"bucket_representatives": 8})
    tables, observation = Tables(spark, lake), Observation("buckets")
    pairs = find_candidates.transform(
        tables.documents,
        tables.eligibility,
        tables.crawls,
        tables.signals,
        tables.bands,
        config=settings,
        observation=observation,
    )
    assert pairs.count() == 8 * 1000 - 8 * 9 // 2
    assert observation.get == {"buckets": 1, "largest_bucket": 1000, "hot_buckets": 1}
    assert {representative for representative, _ in evidence(decided(tables, settings)[DUPLICATES.name]).values()} == {
        "d0000"
    }


@pytest.mark.parametrize(
    ("keep", "kept"), [("best", {"a": "c", "b": "c", "e": "d"}), ("newest", {"b": "a", "c": "a", "d": "e"})]
)
def test_one_capture_stands_for_a_page(spark, keep, kept):
    captures = [
        ("a", "one", "http://example.org/page", datetime(2024, 3, 1, tzinfo=UTC), 5),
        ("b", "one", "https://www.example.org/page?utm_source=x", None, None),
        ("c", "one", "https://example.org/page#top", datetime(2024, 2, 1, tzinfo=UTC), 9),
        ("d", "two", "https://example.org/other", datetime(2024, 1, 1, tzinfo=UTC), 3),
        ("e", "two", "https://example.org/other", datetime(2024, 5, 1, tzinfo=UTC), 2),
        ("f", "two", "dns:example.org", None, None),
        ("g", "two", None, None, None),
        ("h", "two", "https://example.org/third", None, None),
    ]
    # Captures of a page have different texts here, so that nothing but the URL makes them alike.
    documents = spark.createDataFrame(
        [(doc_id, crawl, f"text of {doc_id}", url, at) for doc_id, crawl, url, at, _ in captures],
        "doc_id string, crawl string, text_hash string, url string, fetched_at timestamp",
    )
    eligibility = [(doc_id, crawl, "p", "eligible", [], 1.0, None) for doc_id, crawl, *_ in captures]
    rows = deduplicate.transform(
        documents.repartition(3),
        spark.createDataFrame(eligibility, ELIGIBILITY.spark()),
        spark.createDataFrame([("one", 0), ("two", 1)], "crawl string, ordinal int"),
        spark.createDataFrame(
            [(doc_id, count) for doc_id, *_, count in captures], "doc_id string, gopher_quality_word_count long"
        ),
        *empty_pairs(spark),
        config=Settings(**ALL | {"keep": keep}),
    ).collect()
    assert {row.doc_id: row.representative_id for row in rows} == kept
    assert {(row.kind, row.similarity) for row in rows} == {("url", None)}


@pytest.mark.parametrize("keep", ["best", "newest"])
def test_a_crawl_that_entered_later_never_replaces_a_capture_of_an_earlier_one_whatever_their_names(spark, keep):
    documents = spark.createDataFrame(
        [
            ("a", "z", "text a", "http://example.org/", datetime(2020, 1, 1, tzinfo=UTC)),
            ("b", "a", "text b", "http://example.org/", datetime(2024, 1, 1, tzinfo=UTC)),
        ],
        "doc_id string, crawl string, text_hash string, url string, fetched_at timestamp",
    )
    eligibility = [(doc_id, crawl, "p", "eligible", [], 1.0, None) for doc_id, crawl in (("a", "z"), ("b", "a"))]
    rows = deduplicate.transform(
        documents,
        spark.createDataFrame(eligibility, ELIGIBILITY.spark()),
        spark.createDataFrame([("z", 0), ("a", 1)], "crawl string, ordinal int"),
        spark.createDataFrame([("a", 1), ("b", 9)], "doc_id string, gopher_quality_word_count long"),
        *empty_pairs(spark),
        config=Settings(**ALL | {"keep": keep}),
    ).collect()
    assert [(row.doc_id, row.representative_id) for row in rows] == [("b", "a")]


def test_an_empty_lake_has_no_duplicates(spark):
    found = decided(Tables(spark, SmallLake((), {}, {})), Settings(**ALL))
    assert [found[table.name].count() for table in (CANDIDATE_PAIRS, SIMILARITIES, DUPLICATES, CLUSTERS)] == [0] * 4


def test_an_unknown_signal_of_quality_is_named(tables):
    with pytest.raises(UsageError, match="quality: signals has no column 'wordcount'"):
        decided(tables, Settings(**ALL | {"quality": "wordcount"}))


def test_no_stage_after_the_signatures_reads_a_text(spark, tables, tmp_path):
    tables.documents.write.parquet(str(tmp_path / "documents"))
    documents = spark.read.parquet(str(tmp_path / "documents"))
    inputs = (documents, tables.eligibility, tables.crawls, tables.signals)
    for output in (
        find_candidates.transform(*inputs, tables.bands, config=Settings(**ALL)),
        cluster_duplicates.transform(documents, tables.eligibility, *empty_pairs(spark), config=Settings(**ALL)),
    ):
        plan = output._jdf.queryExecution().toString()
        assert "text:string" not in plan.partition("== Physical Plan ==")[2]


def empty_pairs(spark):
    return spark.createDataFrame([], CANDIDATE_PAIRS.spark()), spark.createDataFrame([], SIMILARITIES.spark())
