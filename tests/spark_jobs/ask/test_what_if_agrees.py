"""What-if, which reads the lake without Spark, against the stage that decides on Spark: one answer."""

from __future__ import annotations

import pytest
from pyspark.sql import Row

from schemas.tables.crawls import CRAWLS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.minhash import BAND_INDEX, SIGNATURES
from spark_jobs.ask.what_if import compare
from spark_jobs.lake import delta
from spark_jobs.lake.columns import LakeColumns
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide import judge_eligible, select_corpus
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.deduplicate import cluster_duplicates, compare_texts, deduplicate, find_candidates
from spark_jobs.stages.deduplicate.settings import Settings

pytestmark = pytest.mark.spark

POLICY = Policy.model_validate(
    {
        "name": "mine",
        "languages": [{"language": "en"}, {"language": "fr", "limits": {"gopher_quality.word_count": {"min": 10}}}],
        "rules": [
            "gopher_quality.word_count",
            {"signal": "basic.character_count", "max": 1000},
            {"column": "host", "none_of": ["*.example.net"]},
        ],
        "rights": {"reject_robots": ["noai"]},
        "rehydration": {2: 2},
        "decontamination": {"max_overlap": 0.2},
        "duplicates": {"url": True},
    }
)


def decided_on_spark(stored, policy: Policy) -> list[Row]:
    """The decisions that the stages come to, one after the other."""
    config = select_corpus.Config(policy=policy)
    kinds = policy.duplicates
    settings = Settings(words_per_shingle=5, exact=kinds.exact, near=kinds.near, url=kinds.url)
    eligibility = judge_eligible.transform(*map(stored, judge_eligible.READS), config=config).checkpoint()
    documents, signals = stored(DOCUMENTS), stored(SIGNALS_TABLE)
    inputs = (documents, eligibility, stored(CRAWLS), signals)
    pairs = find_candidates.transform(*inputs, stored(BAND_INDEX), config=settings).checkpoint()
    similarities = compare_texts.transform(pairs, stored(SIGNATURES), config=settings).checkpoint()
    duplicates = deduplicate.transform(*inputs, pairs, similarities, config=settings)
    clusters = cluster_duplicates.transform(documents, eligibility, pairs, similarities, config=settings)
    return select_corpus.transform(eligibility, duplicates, clusters, config=config).collect()


@pytest.mark.parametrize("policy", [select_corpus.Config().policy, POLICY], ids=lambda policy: policy.name)
def test_what_if_foretells_what_the_selection_does(spark, small_lake, policy):
    def stored(table):
        there = delta.table_exists(spark, small_lake, table)
        return delta.read_table(spark, small_lake, table) if there else spark.createDataFrame([], table.spark())

    decided = decided_on_spark(stored, policy)
    outcome = compare(LakeColumns(small_lake), policy, policy).after
    counts = {name: sum(row.outcome == name for row in decided) for name in ("kept", "rejected", "failed")}
    assert counts == {"kept": outcome.kept.documents, "rejected": outcome.rejected, "failed": outcome.failed}
    for rule in outcome.rules:
        assert rule.fail == sum(rule.name in row.rejected_by for row in decided)
        assert rule.only == sum(row.rejected_by == [rule.name] for row in decided)
    words = {row.doc_id: row.gopher_quality_word_count for row in stored(SIGNALS_TABLE).collect()}
    assert outcome.kept.weighted_words == sum(
        words[row.doc_id] * row.weight for row in decided if row.outcome == "kept"
    )
