"""Judge by a policy, its rules on duplicates aside, which documents are eligible: join what was measured, by id and
without any text, and give it to `judge`.

Duplicates are decided among eligible documents only, so what stands for a removed document is always in the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.incidents import SUSPECTS
from spark_jobs.kernels.gates.entry_lists import list_digests
from spark_jobs.lake.batches import map_batches
from spark_jobs.lake.stage import Stage
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.decide import eligibility, sources
from spark_jobs.stages.decide.joined import joined
from spark_jobs.stages.decide.select_corpus import Config

READS = (DOCUMENTS, SIGNALS_TABLE, DECONTAMINATION, SUSPECTS)


def transform(*inputs: DataFrame, config: Config) -> DataFrame:
    """One row for every document: `failed` where extraction failed, `rejected` with all its rules, else `eligible`.
    `inputs` are those of `READS`."""
    tables = dict(zip((table.name for table in READS), inputs, strict=True))
    documents = joined(sources(config.policy), tables)
    return map_batches(documents, partial(eligibility, config.policy), ELIGIBILITY)


def outcome_counts() -> Mapping[str, Column]:
    """Documents by outcome, observed during the write."""
    return {name: F.count_if(F.col("outcome") == name) for name in ("eligible", "rejected", "failed")}


STAGE = Stage(
    name="judge_eligible",
    reads=READS,
    writes=ELIGIBILITY,
    config=None,
    settings=lambda pipeline: pipeline.select_corpus,
    transform=transform,
    conserves=DOCUMENTS,
    counts=outcome_counts,
    models=lambda config: list_digests(config.policy.rights.opt_out_lists),
)
