"""A few documents to read: some that were kept, and some for every rule that rejects, chosen by a hash, with the
values that count against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.tables.decisions import DECISIONS
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import DUPLICATES
from schemas.tables.reasons import BUCKETS
from spark_jobs.lake.tables import Tables
from spark_jobs.report.words import allowed, column_value, number
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.policy import Policy

PER_RULE = 3
KEPT_SHOWN = 6
EXCERPT = 300
"""Characters of the text that are shown."""
SEED = 0
RIGHTS = {"rights.robots": "robots", "rights.tdm_reservation": "tdm_reservation", "rights.licence": "licence"}
"""Rules on rights, and the column of `documents` that each looks at."""


@dataclass(frozen=True)
class Sample:
    """A document; `values` are what speaks against it, as name and value."""

    doc_id: str
    url: str | None
    title: str | None
    excerpt: str | None
    is_whole: bool
    language: str | None
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Samples:
    """Kept documents, and rejected ones by rule."""

    kept: tuple[Sample, ...]
    by_rule: tuple[tuple[str, tuple[Sample, ...]], ...]


def gather_samples(tables: Tables, policy: Policy, rules: list[str]) -> Samples:
    """Samples for `rules` in their order. The same lake gives the same samples, however it is partitioned."""
    kept = tables.of(DECISIONS).where(F.col("outcome") == "kept").select("doc_id", F.lit("").alias("rule"))
    rejected = tables.of(DECISIONS).select("doc_id", F.explode("rejected_by").alias("rule"))
    chosen = [
        (row["rule"], row["doc_id"])
        for row in _first_by_hash(kept, KEPT_SHOWN).union(_first_by_hash(rejected, PER_RULE)).collect()
    ]
    ids = sorted({doc_id for _, doc_id in chosen})
    documents = _documents(tables, policy, ids)
    against = _values(tables, policy, documents)

    def samples(rule: str) -> tuple[Sample, ...]:
        of_rule = sorted(doc_id for name, doc_id in chosen if name == rule and doc_id in documents)
        return tuple(_sample(documents[doc_id], rule, against.get(doc_id, {})) for doc_id in of_rule)

    return Samples(kept=samples(""), by_rule=tuple((rule, samples(rule)) for rule in rules))


def _first_by_hash(named: DataFrame, count: int) -> DataFrame:
    """Up to `count` rows of each rule; only ids and hashes are shuffled, and of them only the first of each task."""
    order = Window.partitionBy("rule").orderBy(F.xxhash64(F.lit(SEED), "doc_id"), "doc_id")
    return named.withColumn("place", F.row_number().over(order)).where(F.col("place") <= count).select("rule", "doc_id")


def _documents(tables: Tables, policy: Policy, ids: list[str]) -> dict[str, dict[str, Any]]:
    columns = (
        "doc_id",
        "url",
        "title",
        "language",
        "language_score",
        "extract_reason",
        "extract_detail",
        *RIGHTS.values(),
        *policy.document_columns,
    )
    # One character more tells whether there is more.
    wanted = (
        tables.of(DOCUMENTS)
        .where(F.col("doc_id").isin(ids))
        .select(*dict.fromkeys(columns), F.substring("text", 1, EXCERPT + 1).alias("text"))
    )
    return {row["doc_id"]: row.asDict() for row in wanted.collect()} if ids else {}


def _values(
    tables: Tables, policy: Policy, documents: dict[str, dict[str, Any]]
) -> dict[str, dict[str, tuple[tuple[str, str], ...]]]:
    """For each document the values that each rule looks at: signals, columns of documents, rights and duplicates."""
    if not documents:
        return {}
    ids = sorted(documents)
    found: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {doc_id: {} for doc_id in ids}
    for row in (
        tables.of(SIGNALS_TABLE).where(F.col("doc_id").isin(ids)).select("doc_id", *policy.signal_columns).collect()
    ):
        language = documents[row["doc_id"]]["language"]
        for rule in policy.signal_rules:
            limits = policy.limits_of(rule, language)
            found[row["doc_id"]][rule.name] = (
                (rule.signal, number(row[rule.column])),
                ("allowed", allowed(limits.min, limits.max)),
            )
        if policy.buckets is not None:
            begin = " and ".join(f"{limit:g}" for limit in policy.buckets.limits.get(language, ()))
            for bucket in BUCKETS:
                found[row["doc_id"]][f"bucket.{bucket}"] = (
                    (policy.buckets.signal, number(row[policy.buckets.column])),
                    ("buckets end at", begin),
                )
    for doc_id, document in documents.items():
        for rule, column in RIGHTS.items():
            found[doc_id][rule] = ((column, str(document[column])),)
        for limit in policy.column_rules:
            found[doc_id][limit.name] = (
                (limit.column, column_value(document[limit.column])),
                ("allowed", policy.in_words(limit, document["language"])),
            )
    repeated = (
        tables.of(DUPLICATES)
        .where(F.col("doc_id").isin(ids))
        .select("doc_id", "kind", "representative_id", "similarity")
    )
    originals = {
        (row["doc_id"], row["kind"]): (row["representative_id"], row["similarity"]) for row in repeated.collect()
    }
    kept_ids = sorted({representative for representative, _ in originals.values()})
    urls = (
        dict(tables.of_every_crawl(DOCUMENTS).where(F.col("doc_id").isin(kept_ids)).select("doc_id", "url").collect())
        if kept_ids
        else {}
    )
    for (doc_id, kind), (representative, similarity) in originals.items():
        found[doc_id][f"duplicate.{kind}"] = (
            ("repeats", urls.get(representative) or representative),
            ("similarity", "not compared" if similarity is None else f"{similarity:.3f}"),
        )
    return found


def _sample(document: dict[str, Any], rule: str, values: dict[str, tuple[tuple[str, str], ...]]) -> Sample:
    against = values.get(rule, ())
    if rule.startswith("language."):
        score = document["language_score"]
        against = (
            ("language", f"{document['language'] or 'none found'}{f' ({score:.3f})' if score is not None else ''}"),
        )
    elif rule.startswith("extract.") and document["extract_detail"]:
        against = (("detail", str(document["extract_detail"])),)
    text = document["text"]
    excerpt = text[:EXCERPT] if isinstance(text, str) else None
    return Sample(
        doc_id=str(document["doc_id"]),
        url=document["url"],
        title=document["title"],
        excerpt=excerpt,
        is_whole=excerpt == text,
        language=document["language"],
        values=against,
    )
