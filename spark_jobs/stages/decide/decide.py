"""The one place where anything is decided: what was measured of many documents goes in, what a policy makes of each
comes out.

It reads numbers and labels, never a text, takes whole Arrow batches, and knows no Spark: `select_corpus` runs it on
every worker, `corpus what-if` alone. A row depends on nothing but itself, so batches of any size give the same
decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from spark_jobs.kernels.gates import url_gate
from spark_jobs.kernels.gates.url_gate import load_url_gate
from spark_jobs.signals import SIGNALS_TABLE
from spark_jobs.stages.decide.policy import BucketRule, DecontaminationRule, Policy, RightsRule

type Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
type Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]

BUCKETS = ("head", "middle", "tail")
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
    )
    used = {
        Source(DOCUMENTS, documents): True,
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
    bucket: np.ndarray[tuple[int], np.dtype[np.int8]]
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
    skipped, failed = _flags(pc.equal(status, "skipped")), _flags(pc.equal(status, "failed"))
    has_text = ~(skipped | failed)
    unmeasured = np.flatnonzero(has_text & ~_flags(documents["is_measured"]))
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

    languages = _Languages(documents["language"])
    bucket = (
        _buckets(policy.buckets, languages, documents)
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
        _weights(policy, languages, bucket, documents),
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
    eligible = _flags(pc.equal(judged["outcome"], "eligible"))
    kinds = duplicate_kinds(judged["kind"])
    duplicate = eligible & kinds.any(axis=1)
    kept = eligible & ~duplicate
    _, rule = np.nonzero(kinds & eligible[:, None])
    offsets = np.concatenate([[0], np.cumsum((kinds & eligible[:, None]).sum(axis=1))]).astype(np.int32)
    rules = pa.ListArray.from_arrays(pa.array(offsets), pa.array(DUPLICATE_RULES, pa.string()).take(pa.array(rule)))
    columns = {
        **{name: judged[name] for name in ("doc_id", "crawl", "policy", "bucket")},
        "outcome": pc.if_else(pa.array(kept), "kept", pc.if_else(pa.array(duplicate), "rejected", judged["outcome"])),
        "rejected_by": pc.if_else(pa.array(eligible), rules, judged["rejected_by"]),
        "weight": pa.array(np.where(kept, _numbers(judged["weight"]) * cluster_factor(policy, judged), 0.0)),
    }
    return _rows(DECISIONS, columns)


def duplicate_kinds(kinds: pa.Array) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(n, 3): in which of the ways of `DUPLICATE_RULES` each document repeats a kept one, from lists of kinds."""
    values, rows = pc.list_flatten(kinds), pc.list_parent_indices(kinds).to_numpy(zero_copy_only=False)
    found = np.zeros((len(kinds), len(DUPLICATE_RULES)), bool)
    for number, name in enumerate(DUPLICATE_RULES):
        found[rows[_flags(pc.equal(values, name.removeprefix("duplicate.")))], number] = True
    return found


def cluster_factor(policy: Policy, judged: pa.RecordBatch) -> Numbers:
    """What the weight of each document is multiplied by for the size of its cluster."""
    if not policy.rehydration:
        return np.ones(len(judged))
    size = np.nan_to_num(_numbers(judged["cluster_size"]), nan=1.0)
    steps = sorted(policy.rehydration)
    factors = np.array([1.0, *(policy.rehydration[step] for step in steps)])
    return factors[np.searchsorted(steps, size, side="right")]


def _rows(table: Table, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The columns in contract order; mapInArrow takes nullable fields only."""
    schema = pa.schema([field.with_nullable(True) for field in table.arrow()])
    return pa.RecordBatch.from_arrays([columns[name] for name in table.column_names], schema=schema)


def policy_rules(
    policy: Policy, languages: _Languages, bucket: np.ndarray[tuple[int], np.dtype[np.int8]], documents: pa.RecordBatch
) -> Iterator[tuple[str, Flags]]:
    """Each rule's name and which documents it rejects, in the policy's order.

    Languages come first, then signals, buckets, rights, evaluation sets, training.
    """
    if policy.languages:
        lowest = {rule.language: rule.min_score for rule in policy.languages}
        wanted = _numbers(documents["language_score"]) >= languages.each(lambda language: lowest.get(language, np.inf))
        yield language_rule_name(policy), ~wanted
    for rule in policy.rules:
        values = _numbers(documents[rule.column])
        limits = {language: policy.limits_of(rule, language) for language in languages.names}
        low = languages.each(lambda language, limits=limits: _number_or(limits[language].min, -np.inf))
        high = languages.each(lambda language, limits=limits: _number_or(limits[language].max, np.inf))
        # No number is below or above NaN: what was not measured passes.
        yield rule.name, (values < low) | (values > high)
    if policy.buckets is not None:
        for number, name in enumerate(BUCKETS):
            if getattr(policy.buckets.weights, name) == 0:
                yield f"bucket.{name}", bucket == number
    yield from _rights(policy.rights, documents)
    if policy.decontamination is not None:
        yield from _contaminated(policy.decontamination, documents)
    if policy.training.suspects:
        yield "training.suspect", _flags(pc.is_valid(documents["incident_id"]))


def language_rule_name(policy: Policy) -> str:
    """`language.en` for one language, `language.any` for several."""
    return f"language.{policy.languages[0].language}" if len(policy.languages) == 1 else "language.any"


class _Languages:
    """The languages of a batch: what is said once of each language reaches each document by its code."""

    def __init__(self, column: pa.Array) -> None:
        encoded = column.dictionary_encode()
        self.names: list[str | None] = [*encoded.dictionary.to_pylist(), None]
        self._codes = pc.fill_null(encoded.indices, len(self.names) - 1).to_numpy(zero_copy_only=False)

    def each(self, value: Callable[[str | None], float]) -> Numbers:
        """The value of each document's language; it is asked for once a language."""
        return np.array([value(name) for name in self.names], np.float64)[self._codes]


def _buckets(
    rule: BucketRule, languages: _Languages, documents: pa.RecordBatch
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    values = _numbers(documents[rule.column])
    middle, tail = (
        languages.each(lambda name, i=i: rule.limits[name][i] if name in rule.limits else np.nan) for i in (0, 1)
    )
    is_in_one = ~(np.isnan(values) | np.isnan(middle))
    return np.where(is_in_one, (values >= middle).astype(np.int8) + (values >= tail), -1).astype(np.int8)


def _weights(
    policy: Policy, languages: _Languages, bucket: np.ndarray[tuple[int], np.dtype[np.int8]], documents: pa.RecordBatch
) -> Numbers:
    weight = languages.each(lambda language: policy.language_weights.get(language or "", policy.weight))
    if policy.buckets is not None:
        of_bucket = [getattr(policy.buckets.weights, name) for name in BUCKETS]
        # The bucket -1, which is none, takes the last.
        weight *= np.array([*of_bucket, 1.0])[bucket]
    for rule in policy.weigh:
        values = _numbers(documents[rule.column])
        applies = (values > _number_or(rule.above, np.inf)) | (values < _number_or(rule.below, -np.inf))
        weight *= np.where(applies, rule.factor, 1.0)
    return weight


def _rights(rule: RightsRule, documents: pa.RecordBatch) -> Iterator[tuple[str, Flags]]:
    if rule.reject_robots:
        robots = documents["robots"]
        named = pc.is_in(pc.list_flatten(robots), value_set=pa.array(rule.reject_robots)).to_numpy(zero_copy_only=False)
        forbids = np.zeros(len(documents), bool)
        forbids[pc.list_parent_indices(robots).to_numpy(zero_copy_only=False)[named]] = True
        yield "rights.robots", forbids
    if rule.reject_tdm_reservation:
        yield "rights.tdm_reservation", _flags(pc.equal(documents["tdm_reservation"], 1))
    if rule.licences:
        is_one = _flags(pc.is_in(documents["licence"], value_set=pa.array(rule.licences)))
        yield "rights.licence", ~(is_one & (_numbers(documents["licence_confidence"]) >= rule.min_licence_confidence))
    if rule.opt_out_lists:
        # A list means here what it means to the gate before extraction; only its date is another.
        gate = load_url_gate(url_gate.Config(lists=rule.opt_out_lists))
        refused = (url is not None and gate.refusal(url) is not None for url in documents["url"].to_pylist())
        yield "rights.opt_out", np.fromiter(refused, bool, len(documents))


def _contaminated(rule: DecontaminationRule, documents: pa.RecordBatch) -> Iterator[tuple[str, Flags]]:
    """One rule for each evaluation set that occurs; the two lists of a document run side by side."""
    sets = pc.list_flatten(documents["set_name"])
    document = pc.list_parent_indices(documents["set_name"]).to_numpy(zero_copy_only=False)
    is_enough = _numbers(pc.list_flatten(documents["item_share"])) >= rule.max_overlap
    for name in sorted(rule.sets or pc.unique(sets).to_pylist()):
        holds = np.zeros(len(documents), bool)
        holds[document[is_enough & _flags(pc.equal(sets, name))]] = True
        yield f"decontamination.{name}", holds


def _flags(column: pa.Array) -> Flags:
    """Booleans; null is false."""
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False)


def _numbers(column: pa.Array) -> Numbers:
    """Numbers as float64, which is exact for counts below 2^53; null is NaN."""
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)


def _number_or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
