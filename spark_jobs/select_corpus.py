"""Decide, by a policy, which documents are kept; the one place where anything is decided, and it reads numbers only.

All rules are tried on every document, so that a rejection carries each rule that stands against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Annotated

from pydantic import BeforeValidator, Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas import configuration
from schemas.decisions import DECISIONS
from schemas.documents import DOCUMENTS
from schemas.duplicates import EXACT_DUPLICATES, NEAR_DUPLICATES
from spark_jobs.policy import LanguageRule, Policy, Rule, resolve_policy
from spark_jobs.run_stage import Stage
from spark_jobs.signals import SIGNALS_TABLE


class Config(configuration.Config):
    """What to keep."""

    policy: Annotated[Policy, BeforeValidator(resolve_policy)] = Field(default="english_web", validate_default=True)  # type: ignore[assignment]
    """Name of a bundled policy, path of a policy file, or the policy itself."""


def transform(documents: DataFrame, signals: DataFrame, exact_duplicates: DataFrame, near_duplicates: DataFrame, *, config: Config) -> DataFrame:
    """One decision for every document: `failed` where extraction failed, `rejected` with all its rules, else `kept`."""
    policy = config.policy
    rules = policy_rules(policy)
    measured = signals.select("doc_id", *dict.fromkeys(rule.column for rule in policy.rules), F.lit(True).alias("_measured"))
    joined = (
        documents.select("doc_id", "crawl", "extract_status", "extract_reason", "language", "language_score")
        .join(measured, on="doc_id", how="left")
        .join(_mark(exact_duplicates, "_exact"), on="doc_id", how="left")
        .join(_mark(near_duplicates, "_near"), on="doc_id", how="left")
    )
    status = F.col("extract_status")
    against = F.array_compact(F.array(*(F.when(fails, F.lit(name)) for name, fails in rules.items()))) if rules else _no_rules()
    # A document that was never measured would pass every limit, for null is no violation.
    unmeasured = F.concat(F.col("doc_id"), F.lit(" has text but no signals: run score_signals on these documents first"))
    rejected_by = (
        F.when(status == "failed", _no_rules())
        .when(status == "skipped", F.array(F.concat(F.lit("extract."), F.col("extract_reason"))))
        .when(F.col("_measured").isNull(), F.raise_error(unmeasured))
        .otherwise(against)
    )
    decided = joined.withColumn("rejected_by", rejected_by)
    outcome = F.when(status == "failed", "failed").when(F.size("rejected_by") > 0, "rejected").otherwise("kept")
    return (
        decided.withColumn("outcome", outcome)
        .withColumn("policy", F.lit(policy.name))
        .withColumn("weight", F.when(F.col("outcome") == "kept", _weight(policy)).otherwise(F.lit(0.0)))
        .withColumn("bucket", F.lit(None).cast("string"))
        .select(*DECISIONS.column_names)
    )


def policy_rules(policy: Policy) -> dict[str, Column]:
    """Each rule's name and the condition under which it rejects, in the policy's order: language, signals, duplicates."""
    rules = {}
    if policy.languages:
        rules[language_rule_name(policy)] = ~reduce(Column.__or__, map(_is_language, policy.languages))
    rules |= {rule.name: _is_outside(rule) for rule in policy.rules}
    if policy.duplicates.exact:
        rules["duplicate.exact"] = F.col("_exact").isNotNull()
    if policy.duplicates.near:
        rules["duplicate.near"] = F.col("_near").isNotNull()
    return rules


def language_rule_name(policy: Policy) -> str:
    """`language.en` for one language, `language.any` for several."""
    names = {rule.language for rule in policy.languages}
    return f"language.{names.pop()}" if len(names) == 1 else "language.any"


def _is_language(rule: LanguageRule) -> Column:
    # Null where no language was found, which must not read as wanted.
    return F.coalesce((F.col("language") == rule.language) & (F.col("language_score") >= rule.min_score), F.lit(False))


def _is_outside(rule: Rule) -> Column:
    too_low = F.col(rule.column) < rule.min if rule.min is not None else F.lit(False)
    too_high = F.col(rule.column) > rule.max if rule.max is not None else F.lit(False)
    return too_low | too_high


def _mark(duplicates: DataFrame, name: str) -> DataFrame:
    return duplicates.select("doc_id", F.lit(True).alias(name))


def _no_rules() -> Column:
    return F.array().cast("array<string>")


def _weight(policy: Policy) -> Column:
    weight = F.lit(policy.weight)
    for language, its_weight in sorted(policy.language_weights.items()):
        weight = F.when(F.col("language") == language, F.lit(its_weight)).otherwise(weight)
    return weight


def decision_counts() -> Mapping[str, Column]:
    """Documents by outcome, observed during the write."""
    return {outcome: F.sum((F.col("outcome") == outcome).cast("long")) for outcome in ("kept", "rejected", "failed")}


STAGE = Stage(
    name="select_corpus",
    reads=(DOCUMENTS, SIGNALS_TABLE, EXACT_DUPLICATES, NEAR_DUPLICATES),
    writes=DECISIONS,
    config=Config,
    transform=transform,
    conserves=DOCUMENTS,
    counts=decision_counts,
)
