"""What-if, which reads the lake without Spark, against the stage that decides on Spark: one answer."""

from __future__ import annotations

import pytest

from spark_jobs.ask.what_if import compare
from spark_jobs.lake import delta
from spark_jobs.lake.columns import LakeColumns
from spark_jobs.stages.decide import select_corpus
from spark_jobs.stages.decide.policy import Policy

pytestmark = pytest.mark.spark

POLICY = Policy.model_validate(
    {
        "name": "mine",
        "languages": [{"language": "en"}, {"language": "fr", "limits": {"gopher_quality.word_count": {"min": 10}}}],
        "rules": ["gopher_quality.word_count", {"signal": "basic.character_count", "max": 1000}],
        "rights": {"reject_robots": ["noai"]},
        "rehydration": {2: 2},
        "decontamination": {"max_overlap": 0.2},
        "duplicates": {"url": True},
    }
)


@pytest.mark.parametrize("policy", [select_corpus.Config().policy, POLICY], ids=lambda policy: policy.name)
def test_what_if_foretells_what_the_selection_does(spark, small_lake, policy):
    def stored(table):
        there = delta.table_exists(spark, small_lake, table)
        return delta.read_table(spark, small_lake, table) if there else spark.createDataFrame([], table.spark())

    decided = select_corpus.transform(
        *map(stored, select_corpus.READS), config=select_corpus.Config(policy=policy)
    ).collect()
    outcome = compare(LakeColumns(small_lake), policy, policy).after
    counts = {name: sum(row.outcome == name for row in decided) for name in ("kept", "rejected", "failed")}
    assert counts == {"kept": outcome.kept.documents, "rejected": outcome.rejected, "failed": outcome.failed}
    for rule in outcome.rules:
        assert rule.fail == sum(rule.name in row.rejected_by for row in decided)
        assert rule.only == sum(row.rejected_by == [rule.name] for row in decided)
    words = {row.doc_id: row.gopher_quality_word_count for row in stored(select_corpus.SIGNALS_TABLE).collect()}
    assert outcome.kept.weighted_words == sum(
        words[row.doc_id] * row.weight for row in decided if row.outcome == "kept"
    )
