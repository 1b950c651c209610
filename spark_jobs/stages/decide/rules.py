"""The rules of a policy on Arrow batches: which documents each of them rejects, and what weight and bucket a document
gets.

Pure functions of numbers and labels: `decide` puts them together, on every worker of Spark and alone in `corpus
what-if`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.kernels.gates import url_gate
from spark_jobs.kernels.gates.url_gate import load_url_gate
from spark_jobs.stages.decide.policy import BucketRule, DecontaminationRule, Policy, RightsRule

type Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
type Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]
type Buckets = np.ndarray[tuple[int], np.dtype[np.int8]]

BUCKETS = ("head", "middle", "tail")


def policy_rules(
    policy: Policy, languages: Languages, bucket: Buckets, documents: pa.RecordBatch
) -> Iterator[tuple[str, Flags]]:
    """Each rule's name and which documents it rejects, in the policy's order.

    Languages come first, then signals, buckets, rights, evaluation sets, training.
    """
    if policy.languages:
        lowest = {rule.language: rule.min_score for rule in policy.languages}
        wanted = numbers_of(documents["language_score"]) >= languages.each(
            lambda language: lowest.get(language, np.inf)
        )
        yield language_rule_name(policy), ~wanted
    for rule in policy.rules:
        values = numbers_of(documents[rule.column])
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
        yield "training.suspect", flags_of(pc.is_valid(documents["incident_id"]))


def language_rule_name(policy: Policy) -> str:
    """`language.en` for one language, `language.any` for several."""
    return f"language.{policy.languages[0].language}" if len(policy.languages) == 1 else "language.any"


class Languages:
    """The languages of a batch: what is said once of each language reaches each document by its code."""

    def __init__(self, column: pa.Array) -> None:
        encoded = column.dictionary_encode()
        self.names: list[str | None] = [*encoded.dictionary.to_pylist(), None]
        self._codes = pc.fill_null(encoded.indices, len(self.names) - 1).to_numpy(zero_copy_only=False)

    def each(self, value: Callable[[str | None], float]) -> Numbers:
        """The value of each document's language; it is asked for once a language."""
        return np.array([value(name) for name in self.names], np.float64)[self._codes]


def buckets_of(rule: BucketRule, languages: Languages, documents: pa.RecordBatch) -> Buckets:
    values = numbers_of(documents[rule.column])
    middle, tail = (
        languages.each(lambda name, i=i: rule.limits[name][i] if name in rule.limits else np.nan) for i in (0, 1)
    )
    is_in_one = ~(np.isnan(values) | np.isnan(middle))
    return np.where(is_in_one, (values >= middle).astype(np.int8) + (values >= tail), -1).astype(np.int8)


def weights_of(policy: Policy, languages: Languages, bucket: Buckets, documents: pa.RecordBatch) -> Numbers:
    weight = languages.each(lambda language: policy.language_weights.get(language or "", policy.weight))
    if policy.buckets is not None:
        of_bucket = [getattr(policy.buckets.weights, name) for name in BUCKETS]
        # The bucket -1, which is none, takes the last.
        weight *= np.array([*of_bucket, 1.0])[bucket]
    for rule in policy.weigh:
        values = numbers_of(documents[rule.column])
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
        yield "rights.tdm_reservation", flags_of(pc.equal(documents["tdm_reservation"], 1))
    if rule.licences:
        is_one = flags_of(pc.is_in(documents["licence"], value_set=pa.array(rule.licences)))
        yield "rights.licence", ~(is_one & (numbers_of(documents["licence_confidence"]) >= rule.min_licence_confidence))
    if rule.opt_out_lists:
        # A list means here what it means to the gate before extraction; only its date is another.
        gate = load_url_gate(url_gate.Config(lists=rule.opt_out_lists))
        refused = (url is not None and gate.refusal(url) is not None for url in documents["url"].to_pylist())
        yield "rights.opt_out", np.fromiter(refused, bool, len(documents))


def _contaminated(rule: DecontaminationRule, documents: pa.RecordBatch) -> Iterator[tuple[str, Flags]]:
    """One rule for each evaluation set that occurs; the two lists of a document run side by side."""
    sets = pc.list_flatten(documents["set_name"])
    document = pc.list_parent_indices(documents["set_name"]).to_numpy(zero_copy_only=False)
    is_enough = numbers_of(pc.list_flatten(documents["item_share"])) >= rule.max_overlap
    for name in sorted(rule.sets or pc.unique(sets).to_pylist()):
        holds = np.zeros(len(documents), bool)
        holds[document[is_enough & flags_of(pc.equal(sets, name))]] = True
        yield f"decontamination.{name}", holds


def flags_of(column: pa.Array) -> Flags:
    """Booleans; null is false."""
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False)


def numbers_of(column: pa.Array) -> Numbers:
    """Numbers as float64, which is exact for counts below 2^53; null is NaN."""
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)


def _number_or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
