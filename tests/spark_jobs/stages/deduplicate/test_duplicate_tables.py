"""Exact duplicates, signatures, bands and clusters; each written to Delta, so that the contracts' checks hold."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest

from schemas.plumbing.errors import UsageError
from schemas.tables.duplicates import CLUSTERS, EXACT_DUPLICATES, NEAR_DUPLICATES, URL_DUPLICATES
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.kernels.duplicates.minhash import signature
from spark_jobs.kernels.duplicates.shingles import shingle_hashes
from spark_jobs.kernels.duplicates.union_find import smallest_reachable
from spark_jobs.lake import delta
from spark_jobs.pipeline import PipelineConfig
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.deduplicate import (
    cluster_duplicates,
    deduplicate_exact,
    deduplicate_near,
    deduplicate_urls,
    index_bands,
    minhash_signatures,
)

pytestmark = pytest.mark.spark

RIVER = "the river carries barrels of water past the old mill and nobody in the town below counts them any more"
MILL = "a miller who had sold his stones to a stranger went up the hill at night to see what the wind would do"


def documents_of(spark, rows):
    """Rows (doc_id, crawl, text), text None for a page without."""
    columns = "doc_id string, crawl string, extract_status string, text string, text_hash string"
    values = [
        (doc_id, crawl, "skipped" if text is None else "extracted", text, None if text is None else f"hash of {text}")
        for doc_id, crawl, text in rows
    ]
    return spark.createDataFrame(values, columns)


def signals_of(spark, rows):
    return spark.createDataFrame(rows, "doc_id string, crawl string, gopher_quality_word_count long")


def members_of(spark, rows):
    return spark.createDataFrame([(band, key, doc_id, "c") for band, key, doc_id in rows], BAND_INDEX.spark())


def crawls_of(spark, doc_ids):
    return spark.createDataFrame([(doc_id, "c") for doc_id in doc_ids], "doc_id string, crawl string")


def no_exact_duplicates(spark):
    return spark.createDataFrame([], EXACT_DUPLICATES.spark())


def test_of_equal_texts_the_first_by_crawl_then_quality_then_id_stays(spark):
    documents = documents_of(
        spark,
        [
            ("a", "2", RIVER),
            ("b", "1", RIVER),
            ("c", "1", RIVER),
            ("d", "1", RIVER),
            ("e", "1", MILL),
            ("f", "1", MILL),
            ("g", "1", None),
            ("h", "1", None),
        ],
    )
    signals = signals_of(spark, [("a", "2", 99), ("b", "1", 5), ("c", "1", 7), ("d", "1", 7), ("f", "1", 1)])
    rows = deduplicate_exact.transform(documents.repartition(3), signals, config=deduplicate_exact.Config()).collect()
    assert {(row.doc_id, row.crawl, row.representative_id, row.similarity) for row in rows} == {
        ("a", "2", "c", 1.0),
        ("b", "1", "c", 1.0),
        ("d", "1", "c", 1.0),
        ("e", "1", "f", 1.0),
    }


def test_exact_deduplication_reads_no_text(spark, tmp_path):
    documents_of(spark, [("a", "1", RIVER)]).write.parquet(str(tmp_path / "documents"))
    output = deduplicate_exact.transform(
        spark.read.parquet(str(tmp_path / "documents")), signals_of(spark, []), config=deduplicate_exact.Config()
    )
    plan = output._jdf.queryExecution().executedPlan().toString()
    assert "text_hash" in plan
    assert "text:string" not in plan


def test_the_quality_that_is_used_by_default_is_a_signal():
    for stage in (deduplicate_exact, deduplicate_near):
        assert stage.Config().quality in SIGNALS_TABLE.column_names


def test_an_unknown_quality_signal_is_named(spark):
    with pytest.raises(UsageError, match="quality: signals has no column 'perplexity'"):
        deduplicate_exact.transform(
            documents_of(spark, []), signals_of(spark, []), config=deduplicate_exact.Config(quality="perplexity")
        )


def test_a_signature_row_holds_the_shingles_and_their_minhash_values(spark):
    documents = documents_of(
        spark, [("a", "1", RIVER), ("b", "1", "too short for shingles"), ("c", "1", None), ("d", "2", "")]
    )
    config = minhash_signatures.Config(hashes=20, seed=3)
    [row] = minhash_signatures.transform(documents, config=config).collect()
    expected = shingle_hashes(RIVER, 5)
    assert (row.doc_id, row.crawl) == ("a", "1")
    assert row.shingles == expected.tolist()
    assert np.frombuffer(row.signature, "<u4").tolist() == signature(expected, 20, 3).tolist()


def test_documents_share_a_band_key_exactly_if_the_values_of_the_band_agree(spark):
    values = {"a": [1, 2, 3, 4, 5, 6], "b": [1, 2, 9, 4, 5, 6], "c": [3, 4, 1, 2, 5, 6]}
    rows = [(doc_id, "1", [1], np.array(hashes, "<u4").tobytes()) for doc_id, hashes in values.items()]
    index = index_bands.transform(
        spark.createDataFrame(rows, SIGNATURES.spark()), config=index_bands.Config(bands=3, rows=2)
    ).collect()
    key = {(row.doc_id, row.band): row.band_key for row in index}
    assert len(index) == 9
    assert key["a", 0] == key["b", 0] != key["c", 0]
    assert len({key["a", 1], key["b", 1], key["c", 1]}) == 3
    assert key["a", 2] == key["b", 2] == key["c", 2]
    # Equal values in different bands are different keys.
    assert key["a", 0] != key["c", 1]


def test_more_bands_than_the_signature_has_values_for_are_refused_with_the_numbers(spark):
    signatures = spark.createDataFrame([("a", "1", [1], bytes(4 * 100))], SIGNATURES.spark())
    with pytest.raises(Exception, match="14 bands of 8 rows need 112 hashes, but the signatures have 100"):
        index_bands.transform(signatures, config=index_bands.Config()).collect()


@pytest.mark.parametrize("one_task_edges", [0, 1_000_000])
def test_clusters_equal_those_of_union_find(spark, one_task_edges):
    draw = random.Random(5)
    rows = [(band, draw.randrange(250), f"{number:04}") for number in range(400) for band in (0, 1)]
    # A chain through buckets of two is the hardest for rounds.
    rows += [(band, 1000 + (number + band) // 2, f"chain {number:03}") for number in range(100) for band in (0, 1)]
    rows += [(0, 5000, "alone"), (1, 5000, "alone")]
    first: dict[tuple[int, int], str] = {}
    roots = smallest_reachable([(first.setdefault((band, key), doc_id), doc_id) for band, key, doc_id in rows])
    sizes = {root: list(roots.values()).count(root) for root in roots.values()}
    expected = {(doc_id, root, sizes[root]) for doc_id, root in roots.items() if sizes[root] > 1}
    config = cluster_duplicates.Config(one_task_edges=one_task_edges)
    clusters = cluster_duplicates.transform(
        crawls_of(spark, roots), members_of(spark, rows), no_exact_duplicates(spark), config=config
    ).collect()
    assert {(row.doc_id, row.cluster_id, row.cluster_size) for row in clusters} == expected
    assert len(clusters) == len(expected)


def test_equal_documents_are_counted_in_clusters_whether_they_have_shingles_or_not(spark):
    exact = spark.createDataFrame(
        [("b", "c", "d", 1.0, ""), ("y", "c", "x", 1.0, ""), ("z", "c", "x", 1.0, "")], EXACT_DUPLICATES.spark()
    )
    members = members_of(spark, [(0, 1, "a"), (0, 2, "b"), (0, 2, "d"), (0, 1, "d"), (0, 3, "alone")])
    documents = crawls_of(spark, ["a", "b", "d", "x", "y", "z", "alone"])
    clusters = cluster_duplicates.transform(documents, members, exact, config=cluster_duplicates.Config()).collect()
    expected = {**dict.fromkeys("abd", ("a", 3)), **dict.fromkeys("xyz", ("x", 3))}
    assert {row.doc_id: (row.cluster_id, row.cluster_size) for row in clusters} == expected


@pytest.mark.parametrize(
    ("keep", "kept"), [("first", {"a": "c", "b": "c", "e": "d"}), ("newest", {"b": "a", "c": "a", "d": "e"})]
)
def test_one_capture_stands_for_a_page(spark, keep, kept):
    captures = [
        ("a", "1", "extracted", "http://example.org/page", datetime(2024, 3, 1, tzinfo=UTC)),
        ("b", "1", "extracted", "https://www.example.org/page?utm_source=x", None),
        ("c", "1", "extracted", "https://example.org/page#top", datetime(2024, 2, 1, tzinfo=UTC)),
        ("d", "2", "extracted", "https://example.org/other", datetime(2024, 1, 1, tzinfo=UTC)),
        ("e", "2", "extracted", "https://example.org/other", datetime(2024, 5, 1, tzinfo=UTC)),
        ("f", "2", "extracted", "dns:example.org", None),
        ("g", "2", "extracted", None, None),
        ("h", "2", "skipped", "https://example.org/other", None),
        ("i", "2", "extracted", "https://example.org/third", None),
    ]
    documents = spark.createDataFrame(
        captures, "doc_id string, crawl string, extract_status string, url string, fetched_at timestamp"
    )
    signals = signals_of(spark, [("a", "1", 5), ("c", "1", 9), ("d", "2", 3), ("e", "2", 2)])
    output = deduplicate_urls.transform(
        documents.repartition(3), signals, config=deduplicate_urls.Config(enabled=True, keep=keep)
    )
    rows = met(output, URL_DUPLICATES).collect()
    assert {row.doc_id: row.representative_id for row in rows} == kept
    assert {row.page for row in rows} == {"example.org/page", "example.org/other"}


def test_a_later_crawl_never_replaces_a_capture_of_an_earlier_one(spark):
    captures = [
        ("a", "1", "extracted", "http://example.org/", datetime(2020, 1, 1, tzinfo=UTC)),
        ("b", "2", "extracted", "http://example.org/", datetime(2024, 1, 1, tzinfo=UTC)),
    ]
    documents = spark.createDataFrame(
        captures, "doc_id string, crawl string, extract_status string, url string, fetched_at timestamp"
    )
    rows = deduplicate_urls.transform(
        documents, signals_of(spark, []), config=deduplicate_urls.Config(keep="newest")
    ).collect()
    assert [(row.doc_id, row.representative_id) for row in rows] == [("b", "a")]


def test_stages_that_do_not_fit_together_are_refused_before_any_runs():
    with pytest.raises(
        UsageError, match=r"index_bands: 14 bands of 9 rows need 126 hashes, but minhash_signatures\.hashes is 112"
    ):
        PipelineConfig.model_validate({"index_bands": {"rows": 9}})
    with pytest.raises(UsageError, match=r"deduplicate_urls\.enabled must be true"):
        PipelineConfig.model_validate({"select_corpus": {"policy": {"name": "pages", "duplicates": {"url": True}}}})


def met(output, table):
    """The output, after it was held to its contract's columns and checks."""
    table.require({name: kind.replace("bigint", "long") for name, kind in output.dtypes}, "the output")
    stored = output.checkpoint()
    broken = [check.name for check in table.checks if not stored.where(f"NOT ({check.condition})").isEmpty()]
    assert broken == []
    return stored


@pytest.mark.parametrize("crawled", ["duplicates", "nothing extracted"])
def test_all_tables_of_duplicates_meet_their_contracts(spark, crawled):
    rows = [("a", "1", None)]
    if crawled == "duplicates":
        rows = [
            ("a", "1", RIVER),
            ("b", "1", RIVER),
            ("c", "1", RIVER + " now"),
            ("d", "1", MILL),
            ("e", "2", MILL + " now"),
            ("f", "2", None),
        ]
    documents, signals = documents_of(spark, rows), signals_of(spark, [])
    exact = met(deduplicate_exact.transform(documents, signals, config=deduplicate_exact.Config()), EXACT_DUPLICATES)
    signatures = met(minhash_signatures.transform(documents, config=minhash_signatures.Config()), SIGNATURES)
    bands = met(index_bands.transform(signatures, config=index_bands.Config()), BAND_INDEX)
    near = met(
        deduplicate_near.transform(signatures, bands, signals, exact, config=deduplicate_near.Config(threshold=0.5)),
        NEAR_DUPLICATES,
    )
    clusters = met(cluster_duplicates.transform(documents, bands, exact, config=cluster_duplicates.Config()), CLUSTERS)
    some = crawled == "duplicates"
    assert {(row.doc_id, row.representative_id) for row in exact.collect()} == ({("b", "a")} if some else set())
    assert {(row.doc_id, row.representative_id) for row in near.collect()} == (
        {("c", "a"), ("e", "d")} if some else set()
    )
    assert {(row.doc_id, row.cluster_id) for row in clusters.collect()} == (
        {("a", "a"), ("b", "a"), ("c", "a"), ("d", "d"), ("e", "d")} if some else set()
    )


def test_signatures_are_stored_and_read_back_as_their_contract_says(spark, tmp_path):
    signatures = minhash_signatures.transform(
        documents_of(spark, [("a", "1", RIVER)]), config=minhash_signatures.Config()
    )
    delta.write_table(signatures, str(tmp_path), SIGNATURES)
    [row] = delta.read_table(spark, str(tmp_path), SIGNATURES).collect()
    assert row.shingles == shingle_hashes(RIVER, 5).tolist()
    assert len(row.signature) == 4 * 112
