"""Signatures, bands and what is decided from them, each held to its contract's columns and checks."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.plumbing.errors import UsageError
from schemas.tables.duplicates import CANDIDATE_PAIRS, CLUSTERS, DUPLICATES, SIMILARITIES
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.kernels.duplicates.minhash import signature
from spark_jobs.kernels.duplicates.shingles import shingle_hashes
from spark_jobs.lake import delta
from spark_jobs.pipeline import PipelineConfig
from spark_jobs.stages.deduplicate import (
    cluster_duplicates,
    compare_texts,
    deduplicate,
    find_candidates,
    index_bands,
    minhash_signatures,
)
from spark_jobs.stages.deduplicate.settings import Settings

pytestmark = pytest.mark.spark

RIVER = "the river carries barrels of water past the old mill and nobody in the town below counts them any more"
MILL = "a miller who had sold his stones to a stranger went up the hill at night to see what the wind would do"


def documents_of(spark, rows):
    """Rows (doc_id, crawl, text), text None for a page without."""
    columns = "doc_id string, crawl string, extract_status string, text string, text_hash string, url string"
    columns += ", fetched_at timestamp"
    values = [
        (
            doc_id,
            crawl,
            *(("skipped", None, None) if text is None else ("extracted", text, f"hash of {text}")),
            None,
            None,
        )
        for doc_id, crawl, text in rows
    ]
    return spark.createDataFrame(values, columns)


def signals_of(spark, rows):
    return spark.createDataFrame(rows, "doc_id string, crawl string, gopher_quality_word_count long")


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


def test_stages_that_do_not_fit_together_are_refused_before_any_runs():
    with pytest.raises(
        UsageError, match=r"index_bands: 14 bands of 9 rows need 126 hashes, but minhash_signatures\.hashes is 112"
    ):
        PipelineConfig.model_validate({"index_bands": {"rows": 9}})


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
    eligible = [(doc_id, crawl, "p", "eligible", [], 1.0, None) for doc_id, crawl, text in rows if text is not None]
    eligibility = spark.createDataFrame(eligible, ELIGIBILITY.spark())
    crawls = spark.createDataFrame([("1", 0), ("2", 1)], "crawl string, ordinal int")
    settings = Settings(threshold=0.5, words_per_shingle=5, exact=True, near=True, url=True)
    inputs = (documents, eligibility, crawls, signals)
    signatures = met(minhash_signatures.transform(documents, config=minhash_signatures.Config()), SIGNATURES)
    bands = met(index_bands.transform(signatures, config=index_bands.Config()), BAND_INDEX)
    pairs = met(find_candidates.transform(*inputs, bands, config=settings), CANDIDATE_PAIRS)
    similarities = met(compare_texts.transform(pairs, signatures, config=settings), SIMILARITIES)
    duplicates = met(deduplicate.transform(*inputs, pairs, similarities, config=settings), DUPLICATES)
    clusters = met(cluster_duplicates.transform(documents, eligibility, pairs, similarities, config=settings), CLUSTERS)
    some = crawled == "duplicates"
    assert {(row.doc_id, row.kind, row.representative_id) for row in duplicates.collect()} == (
        {("b", "exact", "a"), ("c", "near", "a"), ("e", "near", "d")} if some else set()
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
