"""Close the decision on every document: kept are the eligible ones that repeat no kept one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.plumbing.configuration import Extensible
from schemas.tables.decisions import DECISIONS
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from schemas.tables.eligibility import ELIGIBILITY
from spark_jobs.lake.batches import map_batches
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.decide.decide import closing_sources, decisions
from spark_jobs.stages.decide.joined import joined
from spark_jobs.stages.decide.load_policy import resolve_policy
from spark_jobs.stages.decide.policy import Policy

READS = (ELIGIBILITY, DUPLICATES, CLUSTERS)


class Config(configuration.Config):
    """What to keep."""

    policy: Annotated[Policy, Extensible("extends"), BeforeValidator(resolve_policy)] = Field(
        default="english_web",  # type: ignore[assignment]
        validate_default=True,
    )
    """Name of a bundled policy, path of a policy file, or the policy itself; `--set select_corpus.policy.KEY=...`
    changes single keys of it, as `extends` does."""


def transform(*inputs: DataFrame, config: Config) -> DataFrame:
    """One decision for every document: what it was judged, and `rejected` where it repeats a kept one. `inputs` are
    those of `READS`."""
    tables = dict(zip((table.name for table in READS), inputs, strict=True))
    judged = joined(closing_sources(config.policy), tables)
    return map_batches(judged, partial(decisions, config.policy), DECISIONS)


def decision_counts() -> Mapping[str, Column]:
    """Documents by outcome, observed during the write."""
    return {outcome: F.count_if(F.col("outcome") == outcome) for outcome in ("kept", "rejected", "failed")}


STAGE = Stage(
    name="select_corpus",
    reads=READS,
    writes=DECISIONS,
    config=Config,
    transform=transform,
    conserves=ELIGIBILITY,
    counts=decision_counts,
)
