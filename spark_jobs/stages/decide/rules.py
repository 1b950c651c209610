"""The rules of a policy on Arrow batches: which documents each of them rejects, and what weight and bucket a document
gets.

Pure functions of numbers and labels: `decide` puts them together, on every worker of Spark and alone in `corpus
what-if`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables.documents import DOCUMENTS
from schemas.tables.reasons import BUCKETS
from spark_jobs.kernels.gates import url_gate
from spark_jobs.kernels.gates.url_gate import load_url_gate
from spark_jobs.stages.decide.column_rules import ColumnRule, host_entries, names_of_host
from spark_jobs.stages.decide.policy import DecontaminationRule, Policy, RightsRule, Rule
from spark_jobs.stages.decide.signal_rules import BucketRule, SignalRule

type Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
type Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]
type Buckets = np.ndarray[tuple[int], np.dtype[np.int8]]


def policy_rules(
    policy: Policy, languages: Languages, bucket: Buckets, documents: pa.RecordBatch
) -> Iterator[tuple[str, Flags]]:
    """Each rule's name and which documents it rejects, in the policy's order.

    Languages come first, then signals and columns, buckets, rights, evaluation sets, training.
    """
    if policy.languages:
        lowest = {rule.language: rule.min_score for rule in policy.languages}
        wanted = numbers_of(documents["language_score"]) >= languages.each(
            lambda language: lowest.get(language or "", np.inf)
        )
        yield language_rule_name(policy), ~wanted
    for rule in policy.rules:
        values = documents[rule.column]
        if isinstance(rule, SignalRule):
            # No number is below or above NaN: what was not measured passes.
            yield rule.name, _beyond_limits(policy, rule, languages, numbers_of(values))
        else:
            yield rule.name, column_flags(policy, rule, languages, values)
    if policy.buckets is not None:
        for number, name in enumerate(BUCKETS):
            if getattr(policy.buckets.weights, name) == 0:
                yield f"bucket.{name}", bucket == number
    yield from _rights(policy.rights, documents)
    if policy.decontamination is not None:
        yield from _contaminated(policy.decontamination, documents)
    if policy.training.suspects:
        yield "training.suspect", flags_of(pc.is_valid(documents["incident_id"]))


def column_flags(policy: Policy, rule: ColumnRule, languages: Languages, values: pa.Array) -> Flags:
    """Which documents a rule on a column of `documents` rejects, by the column's values."""
    if rule.kind == "number":
        numbers = numbers_of(values)
        missing, breaks = np.isnan(numbers), _beyond_limits(policy, rule, languages, numbers)
    elif rule.kind in ("day", "time"):
        values = _days(values) if rule.kind == "day" else pc.cast(values, pa.timestamp("us", "UTC"))
        missing, breaks = ~flags_of(values.is_valid()), np.zeros(len(values), bool)
        for limit, is_beyond in ((rule.min, pc.less), (rule.max, pc.greater)):
            if limit is not None:
                at = datetime.fromisoformat(str(limit)) if rule.kind == "time" else limit
                breaks |= flags_of(is_beyond(values, pa.scalar(at, values.type)))
    else:
        missing = ~flags_of(pc.greater(pc.list_value_length(values), 0) if rule.kind == "list" else values.is_valid())
        breaks = _holds(rule, values, rule.none_of)
        if rule.any_of:
            breaks |= ~(missing | _holds(rule, values, rule.any_of))
    if rule.missing == "reject":
        breaks = breaks | missing
    return breaks & (languages.each(lambda language: policy.is_off(rule, language)) == 0)


def _beyond_limits(policy: Policy, rule: Rule, languages: Languages, values: Numbers) -> Flags:
    """Which numbers are below the least or above the largest that the rule allows for the document's language."""
    limits = {language: policy.limits_of(rule, language) for language in languages.names}
    low = languages.each(lambda language: _number_or(limits[language].min, -np.inf))
    high = languages.each(lambda language: _number_or(limits[language].max, np.inf))
    return (values < low) | (values > high)


def _days(values: pa.Array) -> pa.Array:
    """YYYY-MM-DD, which sorts as days do; null where a value does not begin with a whole day."""
    is_day = pc.match_substring_regex(values, r"^\d{4}-\d{2}-\d{2}")
    return pc.if_else(is_day, pc.utf8_slice_codeunits(values, 0, 10), pa.scalar(None, values.type))


def _holds(rule: ColumnRule, values: pa.Array, entries: tuple[str, ...]) -> Flags:
    """Whether the text, or any element of the list, is among the entries."""
    if rule.kind == "list":
        elements = pc.list_flatten(values)
        return any_of_lists(values, flags_of(pc.is_in(elements, value_set=pa.array(entries, elements.type))))
    if rule.kind == "text":
        return flags_of(pc.is_in(values, value_set=pa.array(entries, values.type)))
    # A batch has few hosts for its documents: each is looked up once.
    wanted, encoded = host_entries(entries), values.dictionary_encode()
    held = [not wanted.isdisjoint(names_of_host(host)) for host in encoded.dictionary.to_pylist()]
    return np.array([*held, False])[pc.fill_null(encoded.indices, len(held)).to_numpy(zero_copy_only=False)]


def breaks_column_rule(policy: Policy, rule: ColumnRule, document: Mapping[str, Any]) -> bool:
    """Whether the rule is against one document, a row of `documents`."""
    schema = DOCUMENTS.arrow()
    language, value = (pa.array([document[name]], schema.field(name).type) for name in ("language", rule.column))
    return bool(column_flags(policy, rule, Languages(language), value)[0])


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
        named = pc.is_in(pc.list_flatten(robots), value_set=pa.array(rule.reject_robots))
        yield "rights.robots", any_of_lists(robots, flags_of(named))
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
    is_enough = numbers_of(pc.list_flatten(documents["item_share"])) >= rule.max_overlap
    for name in sorted(rule.sets or pc.unique(sets).to_pylist()):
        holds = is_enough & flags_of(pc.equal(sets, name))
        yield f"decontamination.{name}", any_of_lists(documents["set_name"], holds)


def any_of_lists(lists: pa.Array, elements: Flags) -> Flags:
    """Which documents have an element with a flag, from a flag for each element of all their lists, end to end."""
    found = np.zeros(len(lists), bool)
    found[pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)[elements]] = True
    return found


def flags_of(column: pa.Array) -> Flags:
    """Booleans; null is false."""
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False)


def numbers_of(column: pa.Array) -> Numbers:
    """Numbers as float64, which is exact for counts below 2^53; null is NaN."""
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)


def _number_or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
