"""The one place where anything is decided: what was measured of many documents goes in, what a policy makes of each
comes out.

It reads numbers and labels, never a text, takes whole Arrow batches, and knows no Spark: `select_corpus` runs it on
every worker, `corpus what-if` alone. A row depends on nothing but itself, so batches of any size give the same
decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Table
from schemas.plumbing.errors import ContractError
from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from schemas.tables.eligibility import ELIGIBILITY
from schemas.tables.incidents import SUSPECTS
from schemas.tables.reasons import BUCKETS
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.rules import (
    Buckets,
    Flags,
    Languages,
    Numbers,
    any_of_lists,
    buckets_of,
    flags_of,
    numbers_of,
    policy_rules,
    weights_of,
)

DUPLICATE_RULES = ("duplicate.exact", "duplicate.near", "duplicate.url")


@dataclass(frozen=True)
class Source:
    """A table that a policy looks at: its columns without doc_id, and the name of a flag for documents that have a
    row in it.

    Where a document may have many rows, each column is the list of their values.
    """

    table: Table
    columns: tuple[str, ...]
    flag: str | None = None
    many: bool = False


def sources(policy: Policy) -> tuple[Source, ...]:
    """What has to be joined, by doc_id and from the left, before `judge`; `documents` comes first."""
    rights = policy.rights
    needed = {
        "robots": rights.reject_robots,
        "tdm_reservation": rights.reject_tdm_reservation,
        "licence": rights.licences,
        "licence_confidence": rights.licences,
        "url": rights.opt_out_lists,
    }
    documents = (
        "crawl",
        "extract_status",
        "extract_reason",
        "language",
        "language_score",
        *(name for name, use in needed.items() if use),
        *policy.document_columns,
    )
    used = {
        Source(DOCUMENTS, tuple(dict.fromkeys(documents))): True,
        Source(SIGNALS_TABLE, policy.signal_columns, flag="is_measured"): True,
        Source(DECONTAMINATION, ("set_name", "item_share"), many=True): policy.decontamination is not None,
        Source(SUSPECTS, ("incident_id",), many=True): policy.training.suspects,
    }
    return tuple(source for source, is_used in used.items() if is_used)


def closing_sources(policy: Policy) -> tuple[Source, ...]:
    """What has to be joined, by doc_id and from the left, before `decisions`; `eligibility` comes first."""
    clusters = (Source(CLUSTERS, ("cluster_size",)),) if policy.rehydration else ()
    return (
        Source(ELIGIBILITY, tuple(name for name in ELIGIBILITY.column_names if name != "doc_id")),
        Source(DUPLICATES, ("kind",), many=True),
        *clusters,
    )


@dataclass(frozen=True)
class Judged:
    """What a policy makes of n documents, its rules on duplicates aside."""

    rules: tuple[str, ...]
    """Names of k rules: `extract.*` as far as they occur, then the policy's in its order."""
    against: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    """(n, k): which rules reject which document."""
    failed: Flags
    """Documents whose extraction failed; no rule looks at them."""
    weight: Numbers
    """Sampling weight, the factor of its cluster aside; 0 unless eligible."""
    bucket: Buckets
    """Number of the bucket, -1 for none."""

    @cached_property
    def rejected(self) -> Flags:
        return self.against.any(axis=1)

    @cached_property
    def eligible(self) -> Flags:
        return ~(self.failed | self.rejected)


def judge(policy: Policy, documents: pa.RecordBatch) -> Judged:
    """Judge documents with the columns and flags of `sources(policy)`, each by itself.

    Raises `ContractError` for a document with text and without signals: it would pass every limit, for null is no
    violation.
    """
    status = documents["extract_status"]
    skipped, failed = flags_of(pc.equal(status, "skipped")), flags_of(pc.equal(status, "failed"))
    has_text = ~(skipped | failed)
    unmeasured = np.flatnonzero(has_text & ~flags_of(documents["is_measured"]))
    if len(unmeasured):
        raise ContractError(
            f"{documents['doc_id'][unmeasured[0]]} has text but no signals: run score_signals on these documents first"
        )
    reasons = documents["extract_reason"].dictionary_encode()
    codes = pc.fill_null(reasons.indices, -1).to_numpy(zero_copy_only=False)
    against = {
        f"extract.{reason}": skipped & (codes == code)
        for code, reason in sorted(enumerate(reasons.dictionary.to_pylist()), key=lambda item: item[1])
    }
    against = {name: flags for name, flags in against.items() if flags.any()}

    languages = Languages(documents["language"])
    bucket = (
        buckets_of(policy.buckets, languages, documents)
        if policy.buckets is not None
        else np.full(len(documents), -1, np.int8)
    )
    for name, flags in policy_rules(policy, languages, bucket, documents):
        against[name] = flags & has_text
    matrix = np.stack(list(against.values()), axis=1) if against else np.zeros((len(documents), 0), bool)
    judged = Judged(
        tuple(against),
        matrix,
        failed,
        weights_of(policy, languages, bucket, documents),
        np.where(has_text, bucket, np.int8(-1)),
    )
    np.copyto(judged.weight, 0.0, where=~judged.eligible)
    return judged


def eligibility(policy: Policy, documents: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of the table `eligibility` for a batch that `judge` takes."""
    judged = judge(policy, documents)
    _, rule = np.nonzero(judged.against)
    offsets = np.concatenate([[0], np.cumsum(judged.against.sum(axis=1))]).astype(np.int32)
    outcome = np.where(judged.failed, 2, np.where(judged.rejected, 1, 0))
    columns = {
        "doc_id": documents["doc_id"],
        "crawl": documents["crawl"],
        "policy": pa.repeat(policy.name, len(documents)),
        "outcome": pa.array(("eligible", "rejected", "failed")).take(pa.array(outcome)),
        "rejected_by": pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(judged.rules, pa.string()).take(pa.array(rule))
        ),
        "weight": pa.array(judged.weight),
        "bucket": pa.array(BUCKETS).take(pa.array(judged.bucket, mask=judged.bucket < 0)),
    }
    return _rows(ELIGIBILITY, columns)


def decisions(policy: Policy, judged: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of the table `decisions` for rows with the columns of `closing_sources(policy)`.

    An eligible document that repeats a kept one is rejected by a rule for each kind of likeness; every other document
    keeps the rules that it was judged by.
    """
    eligible = flags_of(pc.equal(judged["outcome"], "eligible"))
    kinds = duplicate_kinds(judged["kind"])
    duplicate = eligible & kinds.any(axis=1)
    kept = eligible & ~duplicate
    size = np.nan_to_num(numbers_of(judged["cluster_size"]), nan=1.0) if policy.rehydration else np.ones(len(judged))
    factor = cluster_factor(policy, size)
    _, rule = np.nonzero(kinds & eligible[:, None])
    offsets = np.concatenate([[0], np.cumsum((kinds & eligible[:, None]).sum(axis=1))]).astype(np.int32)
    rules = pa.ListArray.from_arrays(pa.array(offsets), pa.array(DUPLICATE_RULES, pa.string()).take(pa.array(rule)))
    columns = {
        **{name: judged[name] for name in ("doc_id", "crawl", "policy", "bucket")},
        "outcome": pc.if_else(pa.array(kept), "kept", pc.if_else(pa.array(duplicate), "rejected", judged["outcome"])),
        "rejected_by": pc.if_else(pa.array(eligible), rules, judged["rejected_by"].cast(rules.type)),
        "weight": pa.array(np.where(kept, numbers_of(judged["weight"]) * factor, 0.0)),
    }
    return _rows(DECISIONS, columns)


def duplicate_kinds(kinds: pa.Array) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(n, 3): in which of the ways of `DUPLICATE_RULES` each document repeats a kept one, from lists of kinds."""
    values = pc.list_flatten(kinds)
    flags = (flags_of(pc.equal(values, name.removeprefix("duplicate."))) for name in DUPLICATE_RULES)
    return np.stack([any_of_lists(kinds, of_kind) for of_kind in flags], axis=1)


def cluster_factor(policy: Policy, cluster_size: Numbers) -> Numbers:
    """What the weight of each document is multiplied by for the size of its cluster, 1 where it has none."""
    steps = sorted(policy.rehydration)
    factors = np.array([1.0, *(policy.rehydration[step] for step in steps)])
    return factors[np.searchsorted(steps, cluster_size, side="right")]


def _rows(table: Table, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The columns in contract order; mapInArrow takes nullable fields only."""
    schema = pa.schema([field.with_nullable(True) for field in table.arrow()])
    return pa.RecordBatch.from_arrays([columns[name] for name in table.column_names], schema=schema)
