"""A policy: which documents to keep and with which weight, as limits on what was measured. One YAML file, read like
the table of a paper.

Percentiles are no key of a policy: computed within a run they would change what was decided for earlier crawls
whenever another one came. `corpus what-if --percentiles` prints them as limits to paste, so that the policy that the
ledger keeps holds the very numbers that decided.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.plumbing.configuration import Config, load_config
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.models.language_codes import short_name
from spark_jobs.recipes import bundled
from spark_jobs.signals import SIGNALS, Limits, Signal

OWN_FAMILIES = ("extract", "language", "bucket", "rights", "decontamination", "training", "duplicate")
"""First parts of the names of rules that are no limits on signals."""

_SIGNAL_OF_KEY = {signal.key: signal for signal in SIGNALS}


class LanguageLimits(Config):
    """Both limits of a rule for documents of one language; a limit that is not given is off."""

    min: float | None = None
    """A document with a lower value is rejected."""
    max: float | None = None
    """A document with a higher value is rejected."""


class LanguageRule(Config):
    """A language that is wanted."""

    language: str
    """Its name, as the language model gives it."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Lowest probability at which the language counts as found."""
    limits: dict[str, LanguageLimits | None] = Field(default={})
    """By name of a rule, the limits that replace the rule's own for documents of this language; `null` switches the
    rule off for them."""


class Rule(Config):
    """Limits on one signal. A limit that is not given is the signal's default; `null` switches it off. A signal that
    was not measured rejects nothing."""

    signal: str
    """Key of the signal, such as `gopher_quality.word_count`."""
    min: float | None = None
    """A document with a lower value is rejected."""
    max: float | None = None
    """A document with a higher value is rejected."""
    name: str = ""
    """Name in `rejected_by`; the signal's key unless given."""

    @model_validator(mode="before")
    @classmethod
    def fill_from_the_signal(cls, values: Any) -> Any:
        """A rule may be written as the bare key of its signal; what is not given comes from the signal's
        declaration."""
        if isinstance(values, str):
            values = {"signal": values}
        if not isinstance(values, dict):
            return values
        signal = _SIGNAL_OF_KEY.get(str(values.get("signal")))
        if signal is None:
            return values
        limits = {"min": signal.default.min, "max": signal.default.max} if signal.default is not None else {}
        return {"name": signal.key, **limits, **values}

    @field_validator("signal")
    @classmethod
    def is_a_signal(cls, key: str) -> str:
        return _known_signal(key)

    @field_validator("min", "max")
    @classmethod
    def can_fire(cls, limit: float | None, info: ValidationInfo) -> float | None:
        signal = _SIGNAL_OF_KEY.get(info.data.get("signal", ""))
        if limit is not None and signal is not None and info.field_name is not None:
            _require_firing(signal, info.field_name, limit)
        return limit

    @model_validator(mode="after")
    def has_a_limit(self) -> Rule:
        if self.min is None and self.max is None:
            raise ValueError(f"{self.signal} has no default limit: give min or max")
        _require_order(self.min, self.max)
        return self

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return _SIGNAL_OF_KEY[self.signal].column.name


class WeightRule(Config):
    """Documents beyond a limit on one signal stay, with a lower (or higher) weight."""

    signal: str
    """Key of the signal, such as `toxicity.max_sentence`."""
    above: float | None = None
    """Applies to documents with a higher value."""
    below: float | None = None
    """Applies to documents with a lower value."""
    factor: float = Field(gt=0, allow_inf_nan=False)
    """What their weight is multiplied by; factors of several such rules multiply."""

    @field_validator("signal")
    @classmethod
    def is_a_signal(cls, key: str) -> str:
        return _known_signal(key)

    @model_validator(mode="after")
    def can_fire(self) -> WeightRule:
        if self.above is None and self.below is None:
            raise ValueError("give above or below")
        for name, limit, side in (("below", self.below, "min"), ("above", self.above, "max")):
            if limit is not None:
                _require_firing(_SIGNAL_OF_KEY[self.signal], side, limit, called=name)
        return self

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return _SIGNAL_OF_KEY[self.signal].column.name


class BucketWeights(Config):
    """What the weight of each bucket's documents is multiplied by; 0 rejects them, as `bucket.head`, `bucket.middle`
    or `bucket.tail`."""

    head: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Below the first limit."""
    middle: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """From the first limit to below the second."""
    tail: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """From the second limit on."""


class BucketRule(Config):
    """Three buckets by the value of one signal, as CCNet makes them of perplexity (Wenzek et al. 2020,
    arXiv:1911.00359, section 3.3)."""

    signal: str = "perplexity.value"
    """Key of the signal."""
    limits: dict[str, tuple[float, float]]
    """By language, where `middle` and where `tail` begins. Documents of other languages, and those without a value,
    are in no bucket."""
    weights: BucketWeights = BucketWeights()
    """What becomes of each bucket."""

    @field_validator("signal")
    @classmethod
    def is_a_signal(cls, key: str) -> str:
        return _known_signal(key)

    @field_validator("limits")
    @classmethod
    def ascend(cls, limits: dict[str, tuple[float, float]], info: ValidationInfo) -> dict[str, tuple[float, float]]:
        signal = _SIGNAL_OF_KEY.get(info.data.get("signal", ""))
        for language, (middle, tail) in limits.items():
            if not 0 < middle < tail < math.inf:
                raise ValueError(f"of {language} must be two ascending numbers above 0")
            if signal is not None and signal.at_most is not None and tail > signal.at_most:
                raise ValueError(f"of {language} must be <= {signal.at_most:g}, the largest value of {signal.key}")
        return limits

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return _SIGNAL_OF_KEY[self.signal].column.name


class RightsRule(Config):
    """Which pages their owners allow to be used; decided at release, on what the page said when it was fetched and
    on today's lists."""

    reject_robots: tuple[str, ...] = ()
    """Reject documents with one of these directives in X-Robots-Tag or meta robots, as `rights.robots`; such as
    `noai`, or `agent: noai` for what is said to one agent."""
    reject_tdm_reservation: bool = False
    """Reject documents with `tdm-reservation: 1` (W3C TDM Reservation Protocol), as `rights.tdm_reservation`."""
    licences: tuple[str, ...] = ()
    """Keep only documents under one of these licences, such as `by` or `cc0`; others are rejected as
    `rights.licence`. Empty asks for none."""
    min_licence_confidence: float = Field(default=0.0, ge=0, le=1)
    """Lowest confidence at which a licence counts as found."""
    opt_out_lists: tuple[Path, ...] = ()
    """Lists of domains and URLs, one a line, as the URL gate reads them; documents from there are rejected as
    `rights.opt_out`. Workers need the files at the same paths."""

    @model_validator(mode="after")
    def has_licences(self) -> RightsRule:
        if self.min_licence_confidence > 0 and not self.licences:
            raise ValueError("min_licence_confidence says nothing without licences")
        return self


class DuplicateRule(Config):
    """Whether documents with an earlier equal or similar one are rejected."""

    exact: bool = True
    """Reject documents whose text equals an earlier one's, as `duplicate.exact`."""
    near: bool = True
    """Reject documents verified similar to an earlier kept one, as `duplicate.near`."""
    url: bool = False
    """Reject documents of whose page another capture stands for all, as `duplicate.url`."""


class DecontaminationRule(Config):
    """Which documents hold too much of an evaluation set; they are rejected as `decontamination.SET`, by what
    `decontaminate` found."""

    max_overlap: float = Field(default=1.0, gt=0, le=1)
    """Reject documents that hold this share or more of the n-grams of one item of the set; 1 is a whole item."""
    sets: tuple[str, ...] = ()
    """Names of the sets that count; empty takes all that `decontaminate` looked for."""


class TrainingRule(Config):
    """Whether documents are rejected for what they did to a training run."""

    suspects: bool = True
    """Reject documents that `pretrain quarantine` holds responsible for an incident, as `training.suspect`; a lake
    without any has none to reject."""


class Policy(Config):
    """Which documents to keep. All rules are tried on every document, so that each rejection names every rule behind
    it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Short name, written into each decision."""
    description: str = ""
    """What the policy is for, and where its limits come from."""
    languages: tuple[LanguageRule, ...] = ()
    """Languages to keep; empty keeps all, and documents without one."""
    rules: tuple[Rule, ...] = ()
    """Limits on signals, in the order in which `rejected_by` lists them."""
    buckets: BucketRule | None = None
    """Buckets of quality; none unless given."""
    rights: RightsRule = RightsRule()
    """What the owners of pages allow."""
    decontamination: DecontaminationRule | None = None
    """What to do with documents that hold parts of evaluation sets; nothing unless given."""
    training: TrainingRule = TrainingRule()
    """What to do with documents that harmed a training run."""
    duplicates: DuplicateRule = DuplicateRule()
    """What to do with duplicates."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Sampling weight of a kept document."""
    language_weights: dict[str, float] = Field(default={})
    """Sampling weights that replace `weight` for documents of a language."""
    weigh: tuple[WeightRule, ...] = ()
    """Rules that change the weight instead of rejecting."""
    rehydration: dict[int, float] = Field(default={})
    """From which size of the cluster of similar documents on the kept one has which factor of its weight, such as
    `{1: 1, 2: 2, 5: 5, 100: 8, 1000: 1}`."""

    @model_validator(mode="after")
    def is_consistent(self) -> Policy:
        names = [rule.name for rule in self.rules]
        taken = sorted(name for name in names if name.partition(".")[0] in OWN_FAMILIES)
        if taken:
            raise ValueError(
                f"rules: {', '.join(taken)}: names that begin so belong to the rules that a policy has of itself"
            )
        _require_once("rules", names, "; give each a name of its own")
        _require_once("languages", [rule.language for rule in self.languages], "")
        for key, weights in (("language_weights", self.language_weights), ("rehydration", self.rehydration)):
            not_positive = sorted(str(name) for name, weight in weights.items() if not 0 < weight < math.inf)
            if not_positive:
                raise ValueError(f"{key} of {', '.join(not_positive)} must be positive")
        if any(size < 1 for size in self.rehydration):
            raise ValueError("rehydration: the sizes of clusters begin with 1")
        return self

    @model_validator(mode="after")
    def limits_of_languages_can_fire(self) -> Policy:
        rules = {rule.name: rule for rule in self.rules}
        for language in self.languages:
            for name, limits in language.limits.items():
                try:
                    _require_replacement(rules, name, limits)
                except ValueError as fault:
                    raise ValueError(f"languages: {language.language}: limits: {name}: {fault}") from None
        return self

    def limits_of(self, rule: Rule, language: str | None) -> Limits:
        """The rule's limits for documents of the language."""
        replaced = self.limits_by_language.get(language, {})
        limits = (replaced[rule.name] or LanguageLimits()) if rule.name in replaced else rule
        return Limits(min=limits.min, max=limits.max)

    @cached_property
    def limits_by_language(self) -> dict[str | None, dict[str, LanguageLimits | None]]:
        """By language, then by name of a rule."""
        return {language.language: language.limits for language in self.languages}

    @property
    def signal_keys(self) -> tuple[str, ...]:
        """Keys of all signals that it looks at."""
        buckets = (self.buckets,) if self.buckets is not None else ()
        return tuple(dict.fromkeys(rule.signal for rule in (*self.rules, *self.weigh, *buckets)))

    @property
    def signal_columns(self) -> tuple[str, ...]:
        """Columns of the table of signals that it looks at."""
        return tuple(_SIGNAL_OF_KEY[key].column.name for key in self.signal_keys)


def require_models(policy: Policy, configured: Iterable[str]) -> None:
    """Raises `UsageError` where the policy looks at the score of a model that is not among the configured kinds: it
    would reject nothing, silently."""
    given = set(configured)
    for key in policy.signal_keys:
        model = _SIGNAL_OF_KEY[key].model
        if model is not None and model not in given:
            raise UsageError(
                f"policy {policy.name} looks at {key}, but score_signals has no {model} model, so it would never be "
                f"measured: {_how_to_give(model)}"
            )


def _how_to_give(model: str) -> str:
    if model == "bad_words":
        return "give a folder with a list for each language, --set score_signals.bad_words=DIR"
    if model == "perplexity":
        return (
            "corpus train perplexity makes one for a language, --set score_signals.models.perplexity.LANGUAGE=FILE "
            "names it"
        )
    return f"corpus train classifier --kind {model} makes one, --set score_signals.models.{model}=FILE names it"


def require_languages(policy: Policy, labels: Iterable[str]) -> None:
    """Raises `UsageError` where the policy names a language that the language model does not: no document would ever
    have it."""
    known = set(labels)
    of_buckets = policy.buckets.limits if policy.buckets is not None else {}
    for name in (*(rule.language for rule in policy.languages), *policy.language_weights, *of_buckets):
        if name not in known:
            near = f" (perhaps {short_name(name)})" if short_name(name) in known else _perhaps(name, known)
            raise UsageError(
                f"policy {policy.name} names language {name}, which is none of the {len(known):,} labels of the "
                f"language model{near}"
            )


def resolve_policy(value: Any) -> Any:
    """A bundled policy's name or the path of a YAML file becomes the policy itself, so that whoever hashes a
    configuration hashes its rules.

    Raises `UsageError` where there is no such policy, or its file has a fault.
    """
    if not isinstance(value, str | Path):
        return value
    policies = bundled("policy")
    path = policies.get(str(value), Path(value))
    if not path.is_file():
        raise UsageError(f"policy {value}: neither a file nor a bundled policy; bundled are {', '.join(policies)}")
    return load_config(Policy, path)


def _known_signal(key: str) -> str:
    if key not in _SIGNAL_OF_KEY:
        raise ValueError(f"must be the key of a signal{_perhaps(key, _SIGNAL_OF_KEY)}")
    return key


def _require_firing(signal: Signal, side: str, limit: float, called: str = "") -> None:
    """A limit outside what the signal can be, or at its end, would pass or reject everything without a word."""
    prefix = f"{called} " if called else ""
    if not 0 <= limit < math.inf:
        raise ValueError(f"{prefix}must be >= 0 and finite")
    if signal.at_most is not None and limit > signal.at_most:
        raise ValueError(f"{prefix}must be <= {signal.at_most:g}, the largest value of {signal.key}")
    if limit == (0 if side == "min" else signal.at_most):
        raise ValueError(
            f"{prefix}can never fire: {signal.key} is never {'below' if side == 'min' else 'above'} {limit:g}; null "
            f"switches a limit off"
        )


def _require_replacement(rules: Mapping[str, Rule], name: str, limits: LanguageLimits | None) -> None:
    if name not in rules:
        raise ValueError(f"replaces no rule of the policy{_perhaps(name, rules)}")
    if limits is None:
        return
    if limits.min is None and limits.max is None:
        raise ValueError("give min or max, or null to switch the rule off")
    signal = _SIGNAL_OF_KEY[rules[name].signal]
    for side, limit in (("min", limits.min), ("max", limits.max)):
        if limit is not None:
            _require_firing(signal, side, limit, called=side)
    _require_order(limits.min, limits.max)


def _require_order(low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"min {low:g} is above max {high:g}: every document would be rejected")


def _require_once(key: str, names: list[str], advice: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{key} of the same name: {', '.join(repeated)}{advice}")


def _perhaps(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" (perhaps {' or '.join(near)})" if near else ""
