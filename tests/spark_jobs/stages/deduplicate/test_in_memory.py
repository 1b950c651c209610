"""Duplicates in one process against a plain loop that filters and then removes greedily."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.stages.deduplicate.in_memory import Measured, decide_duplicates
from spark_jobs.stages.deduplicate.settings import Settings
from tests.spark_jobs.stages.deduplicate.small_lakes import (
    SmallLake,
    bands_table,
    documents_table,
    greedy,
    jaccard,
    random_lake,
    shingle_arrays,
)

SETTINGS = st.builds(
    Settings,
    scope=st.sampled_from(("lake", "crawl")),
    threshold=st.sampled_from((0.5, 0.7, 0.9)),
    bucket_representatives=st.sampled_from((1, 2, 64)),
    words_per_shingle=st.just(5),
    exact=st.booleans(),
    near=st.booleans(),
    url=st.booleans(),
)
LAKES = st.builds(random_lake, st.integers(0, 2**32).map(random.Random), st.integers(0, 60))


def found(lake: SmallLake, settings: Settings, similarities=None):
    eligible = np.array([document.eligible for document in lake.documents], bool)
    measured = Measured(bands_table(lake), similarities or {}, lambda doc_ids: shingle_arrays(lake, doc_ids))
    return decide_duplicates(documents_table(lake), eligible, measured, settings)


@given(LAKES, SETTINGS)
def test_the_removed_documents_and_their_kinds_are_those_of_a_plain_greedy_loop(lake, settings):
    expected: dict[str, set[str]] = {}
    for doc_id, kind in greedy(lake, settings):
        expected.setdefault(doc_id, set()).add(kind)
    likeness = found(lake, settings)
    assert {lake.documents[row].doc_id: set(kinds) for row, kinds in likeness.kinds.items()} == expected


@given(LAKES, SETTINGS)
def test_pairs_that_the_lake_has_compared_are_not_compared_again(lake, settings):
    texts = sorted(lake.shingles)
    known = {
        (one, two): jaccard(lake.shingles[one], lake.shingles[two])
        for place, one in enumerate(texts)
        for two in texts[place + 1 :]
    }
    again = found(lake, settings, known)
    assert again.compared == 0
    assert again.kinds == found(lake, settings).kinds


@given(LAKES, SETTINGS, st.integers(1, 3))
def test_what_is_decided_for_the_first_crawls_never_changes_when_more_come(lake, settings, crawls):
    first = SmallLake(tuple(d for d in lake.documents if d.ordinal < crawls), lake.shingles, lake.buckets)
    before = {first.documents[row].doc_id: kinds for row, kinds in found(first, settings).kinds.items()}
    after = {lake.documents[row].doc_id: kinds for row, kinds in found(lake, settings).kinds.items()}
    early = {document.doc_id for document in first.documents}
    assert {doc_id: kinds for doc_id, kinds in after.items() if doc_id in early} == before


@given(LAKES, SETTINGS)
def test_sizes_of_clusters_count_what_is_equal_or_similar_through_others(lake, settings):
    likeness = found(lake, settings)
    removed = greedy(lake, settings)
    for (doc_id, kind), (representative, _) in removed.items():
        if kind != "url":
            rows = [row for row, d in enumerate(lake.documents) if d.doc_id in (doc_id, representative)]
            assert likeness.cluster_size[rows[0]] == likeness.cluster_size[rows[1]] >= 2
    assert all(size == 1 for size, d in zip(likeness.cluster_size, lake.documents, strict=True) if not d.eligible)
