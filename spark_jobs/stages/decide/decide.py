"""The one place where anything is decided: what was measured of many documents goes in, what a policy makes of each
comes out.

It reads numbers and labels, never a text, takes whole Arrow batches, and knows no Spark: `select_corpus` runs it on
every worker, `corpus what-if` alone. A row depends on nothing but itself, so batches of any size give the same
decisions.
"""

from __future__ import annotations

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
from schemas.tables.duplicates import CLUSTERS, EXACT_DUPLICATES, NEAR_DUPLICATES, URL_DUPLICATES
from schemas.tables.incidents import SUSPECTS
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.rules import (
    BUCKETS,
    Buckets,
    Flags,
    Languages,
    Numbers,
    buckets_of,
    flags_of,
    policy_rules,
    weights_of,
)


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
    """What has to be joined, by doc_id and from the left, before `decide`; `documents` comes first."""
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
        Source(EXACT_DUPLICATES, (), flag="is_exact_duplicate"): policy.duplicates.exact,
        Source(NEAR_DUPLICATES, (), flag="is_near_duplicate"): policy.duplicates.near,
        Source(URL_DUPLICATES, (), flag="is_url_duplicate"): policy.duplicates.url,
        Source(CLUSTERS, ("cluster_size",)): bool(policy.rehydration),
        Source(DECONTAMINATION, ("set_name", "item_share"), many=True): policy.decontamination is not None,
        Source(SUSPECTS, ("incident_id",), many=True): policy.training.suspects,
    }
    return tuple(source for source, is_used in used.items() if is_used)


@dataclass(frozen=True)
class Decided:
    """What a policy makes of n documents."""

    rules: tuple[str, ...]
    """Names of k rules: `extract.*` as far as they occur, then the policy's in its order."""
    against: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    """(n, k): which rules reject which document."""
    failed: Flags
    """Documents whose extraction failed; no rule looks at them."""
    weight: Numbers
    """Sampling weight; 0 unless kept."""
    bucket: Buckets
    """Number of the bucket, -1 for none."""

    @cached_property
    def rejected(self) -> Flags:
        return self.against.any(axis=1)

    @cached_property
    def kept(self) -> Flags:
        return ~(self.failed | self.rejected)


def decide(policy: Policy, documents: pa.RecordBatch) -> Decided:
    """Decide on documents with the columns and flags of `sources(policy)`.

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
    decided = Decided(
        tuple(against),
        matrix,
        failed,
        weights_of(policy, languages, bucket, documents),
        np.where(has_text, bucket, np.int8(-1)),
    )
    np.copyto(decided.weight, 0.0, where=~decided.kept)
    return decided


def decisions(policy: Policy, documents: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of the table `decisions` for a batch that `decide` takes."""
    decided = decide(policy, documents)
    _, rule = np.nonzero(decided.against)
    offsets = np.concatenate([[0], np.cumsum(decided.against.sum(axis=1))]).astype(np.int32)
    outcome = np.where(decided.failed, 2, np.where(decided.rejected, 1, 0))
    columns = {
        "doc_id": documents["doc_id"],
        "crawl": documents["crawl"],
        "policy": pa.repeat(policy.name, len(documents)),
        "outcome": pa.array(("kept", "rejected", "failed")).take(pa.array(outcome)),
        "rejected_by": pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(decided.rules, pa.string()).take(pa.array(rule))
        ),
        "weight": pa.array(decided.weight),
        "bucket": pa.array(BUCKETS).take(pa.array(decided.bucket, mask=decided.bucket < 0)),
    }
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in DECISIONS.column_names], schema=_nullable(DECISIONS.arrow())
    )


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])
