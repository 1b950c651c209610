"""What became of the records: the way from record to kept document, the rules that stand in it, and the languages
and domains that come out."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.reasons import OWN_FAMILIES
from spark_jobs.lake.tables import Tables
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.signals.gopher_quality import WORD_COUNT
from spark_jobs.stages.decide.policy import Policy

LANGUAGES_SHOWN = 12
DOMAINS_SHOWN = 10


@dataclass(frozen=True)
class Step:
    """A step of the funnel: how many documents were lost at it, and how many were left after it."""

    name: str
    lost: int
    left: int


@dataclass(frozen=True)
class RuleCount:
    """How many documents a rule rejects, how many no other rule rejects (and their words), and for how many it is
    the first in the policy's order."""

    name: str
    rejects: int
    alone: int
    first: int
    words_alone: int

    @property
    def can_be_left_out(self) -> bool:
        """What has no text is rejected by no choice of the policy's."""
        return not self.name.startswith("extract.")


@dataclass(frozen=True)
class BucketCount:
    """Kept documents of a quality bucket, and the sum of their sampling weights."""

    name: str
    kept: int
    weight: float


@dataclass(frozen=True)
class ReasonCount:
    """Records that gave no text for one reason, with what was said about one of them."""

    status: str
    reason: str
    records: int
    example: str | None


@dataclass(frozen=True)
class Share:
    """A language or a domain, its documents with text, and those of them that were kept."""

    name: str
    documents: int
    kept: int


@dataclass(frozen=True)
class Outcomes:
    """Counts of one report; `records` = `undecided` + `kept` + `rejected` + `failed`."""

    records: int
    extracted: int
    kept: int
    kept_words: int
    rejected: int
    failed: int
    undecided: int
    funnel: tuple[Step, ...]
    rules: tuple[RuleCount, ...]
    buckets: tuple[BucketCount, ...]
    reasons: tuple[ReasonCount, ...]
    languages: tuple[Share, ...]
    domains: tuple[Share, ...]


def gather_outcomes(tables: Tables, policy: Policy) -> Outcomes:
    reasons = extraction_reasons(tables)
    extracted = sum(reason.records for reason in reasons if reason.status == "extracted")
    records = sum(reason.records for reason in reasons)
    decided = dict(tables.of(DECISIONS).groupBy("outcome").count().collect())
    kept, rejected, failed = (decided.get(outcome, 0) for outcome in ("kept", "rejected", "failed"))
    words = words_by_only_rule(tables)
    rules = rule_counts(tables, words)
    return Outcomes(
        records=records,
        extracted=extracted,
        kept=kept,
        kept_words=words.get(None, 0),
        rejected=rejected,
        failed=failed,
        undecided=records - kept - rejected - failed,
        funnel=funnel(records, failed, rules, policy),
        rules=rules,
        buckets=bucket_counts(tables),
        reasons=tuple(reason for reason in reasons if reason.status != "extracted"),
        languages=shares(tables, F.coalesce("language", F.lit("none found")), LANGUAGES_SHOWN),
        domains=shares(tables, F.coalesce("domain", F.lit("none")), DOMAINS_SHOWN),
    )


def words_by_only_rule(tables: Tables) -> dict[str | None, int]:
    """Words of the documents that a single rule rejects, by that rule, and under None those of the kept ones; only
    ids and numbers are joined."""
    only = (
        tables.of(DECISIONS)
        .where((F.col("outcome") != "failed") & (F.size("rejected_by") <= 1))
        .select("doc_id", F.get("rejected_by", F.lit(0)).alias("rule"))
    )
    words = tables.of(SIGNALS_TABLE).select("doc_id", F.col(WORD_COUNT.column.name).alias("words"))
    return dict(only.join(words, "doc_id", how="inner").groupBy("rule").agg(F.sum("words").alias("words")).collect())


def rule_counts(tables: Tables, words: dict[str | None, int]) -> tuple[RuleCount, ...]:
    """Every rule that rejects anything, the most frequent first."""
    rules = tables.of(DECISIONS).select(
        F.explode("rejected_by").alias("rule"), F.size("rejected_by").alias("n"), F.col("rejected_by")[0].alias("first")
    )
    counted = rules.groupBy("rule").agg(
        F.count(F.lit(1)).alias("rejects"),
        F.count_if(F.col("n") == 1).alias("alone"),
        F.count_if(F.col("rule") == F.col("first")).alias("first"),
    )
    return tuple(
        RuleCount(*row, words.get(row["rule"], 0)) for row in counted.orderBy(F.col("rejects").desc(), "rule").collect()
    )


def bucket_counts(tables: Tables) -> tuple[BucketCount, ...]:
    """Buckets by name; none where the policy makes none."""
    kept = tables.of(DECISIONS).where((F.col("outcome") == "kept") & F.col("bucket").isNotNull())
    counted = kept.groupBy("bucket").agg(F.count(F.lit(1)).alias("kept"), F.sum("weight").alias("weight"))
    return tuple(BucketCount(*row) for row in counted.orderBy("bucket").collect())


def funnel(records: int, failed: int, rules: tuple[RuleCount, ...], policy: Policy) -> tuple[Step, ...]:
    """Losses by family of rules, in the order in which the policy tries them.

    A document with several rules against it is lost at the first of them, so the losses add up.
    """
    lost: dict[str, int] = {}
    for rule in rules:
        family = rule.name.partition(".")[0]
        lost[family] = lost.get(family, 0) + rule.first
    of_rules = (rule.name.partition(".")[0] for rule in policy.rules)
    last = ("duplicate", "edit")
    own = (family.name for family in OWN_FAMILIES if family.name not in last)
    in_order = dict.fromkeys(["extract", "language", *of_rules, *own])
    # Rules of an older policy, which rows of another crawl may name, come before what is decided among all documents.
    families = [*in_order, *sorted(lost.keys() - in_order.keys() - set(last)), *last]
    left = records - failed
    steps = [Step("failed to extract", failed, left)]
    for family in families:
        if family in lost:
            left -= lost[family]
            steps.append(Step("no page with text" if family == "extract" else family, lost[family], left))
    return tuple(steps) if records else ()


def extraction_reasons(tables: Tables) -> tuple[ReasonCount, ...]:
    """Records by status and reason, the most frequent first; the example is the same however the data are
    partitioned."""
    rows = (
        tables.of(DOCUMENTS)
        .groupBy(F.col("extract_status").alias("status"), F.coalesce("extract_reason", F.lit("")).alias("reason"))
        .agg(F.count(F.lit(1)).alias("records"), F.min("extract_detail").alias("example"))
        .orderBy(F.col("records").desc(), "status", "reason")
    )
    return tuple(ReasonCount(*row) for row in rows.collect())


def shares(tables: Tables, name: Column, shown: int) -> tuple[Share, ...]:
    """The most frequent values among documents with text; the rest in one row at the end."""
    kept = tables.of(DECISIONS).where(F.col("outcome") == "kept").select("doc_id", F.lit(1).alias("kept"))
    named = (
        tables.of(DOCUMENTS)
        .where(F.col("extract_status") == "extracted")
        .select("doc_id", name.alias("name"))
        .join(kept, "doc_id", how="left")
    )
    counted = named.groupBy("name").agg(F.count(F.lit(1)).alias("documents"), F.count("kept").alias("kept"))
    totals = counted.agg(
        F.count(F.lit(1)).alias("names"), F.sum("documents").alias("documents"), F.sum("kept").alias("kept")
    ).first()
    top = [Share(*row) for row in counted.orderBy(F.col("documents").desc(), "name").limit(shown).collect()]
    others = totals["names"] - len(top)
    if others > 0:
        top.append(
            Share(
                f"{others:,} others",
                totals["documents"] - sum(s.documents for s in top),
                totals["kept"] - sum(s.kept for s in top),
            )
        )
    return tuple(top)
