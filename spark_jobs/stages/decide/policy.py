"""A policy: which documents to keep and with which weight, as limits on what was measured. One YAML file, read like
the table of a paper.

Percentiles are no key of a policy: computed within a run they would change what was decided for earlier crawls
whenever another one came. `corpus what-if --percentiles` prints them as limits to paste, so that the policy that the
ledger keeps holds the very numbers that decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, WrapValidator, field_validator, model_validator

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import near_names
from schemas.tables import reasons
from spark_jobs.signals import Limits
from spark_jobs.stages.decide.column_rules import ColumnRule
from spark_jobs.stages.decide.limits import LanguageLimits, LanguageRule, require_firing, require_order
from spark_jobs.stages.decide.signal_rules import SIGNAL_OF_KEY, BucketRule, SignalRule, WeightRule

OWN_FAMILIES = tuple(family.name for family in reasons.OWN_FAMILIES if family.name != "documents")
"""First parts of the names of rules that a policy has of itself."""


def _of_its_kind(value: Any, validate: Any) -> SignalRule | ColumnRule:
    """One model or the other, so that a fault is told as one of the rule that was meant."""
    if isinstance(value, SignalRule | ColumnRule):
        return value
    kind = ColumnRule if isinstance(value, Mapping) and "column" in value else SignalRule
    return kind.model_validate(value)


type Rule = Annotated[SignalRule | ColumnRule, WrapValidator(_of_its_kind)]
"""A rule names the signal, or the column of `documents`, that it looks at."""


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
    """Rules on signals and on columns of `documents`, in the order in which `rejected_by` lists them."""
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

    @field_validator("languages", "rules", mode="before")
    @classmethod
    def is_a_list(cls, items: Any) -> Any:
        if isinstance(items, Mapping):
            raise ValueError("must be a list, unless the policy extends another")
        return items

    @model_validator(mode="after")
    def is_consistent(self) -> Policy:
        names = [rule.name for rule in self.rules]
        taken = sorted(
            rule.name
            for rule in self.rules
            if (family := rule.name.partition(".")[0]) in OWN_FAMILIES
            or (family == "documents" and isinstance(rule, SignalRule))
        )
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
        """The limits of a rule on a number for documents of the language."""
        replaced = self.limits_by_language.get(language, {})
        limits = (replaced[rule.name] or LanguageLimits()) if rule.name in replaced else rule
        return Limits(min=limits.min, max=limits.max)  # type: ignore[arg-type]

    def is_off(self, rule: Rule, language: str | None) -> bool:
        """Whether the rule is switched off for documents of the language."""
        replaced = self.limits_by_language.get(language, {})
        return rule.name in replaced and replaced[rule.name] is None

    def in_words(self, rule: ColumnRule, language: str | None) -> str:
        """What the rule lets pass of documents of the language."""
        if self.is_off(rule, language):
            return "anything"
        if rule.kind == "number":
            limits = self.limits_of(rule, language)
            rule = rule.model_copy(update={"min": limits.min, "max": limits.max})
        return rule.in_words()

    @cached_property
    def limits_by_language(self) -> dict[str | None, dict[str, LanguageLimits | None]]:
        """By language, then by name of a rule."""
        return {language.language: language.limits for language in self.languages}

    @property
    def signal_rules(self) -> tuple[SignalRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, SignalRule))

    @property
    def column_rules(self) -> tuple[ColumnRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, ColumnRule))

    @property
    def signal_keys(self) -> tuple[str, ...]:
        """Keys of all signals that it looks at."""
        buckets = (self.buckets,) if self.buckets is not None else ()
        return tuple(dict.fromkeys(rule.signal for rule in (*self.signal_rules, *self.weigh, *buckets)))

    @property
    def signal_columns(self) -> tuple[str, ...]:
        """Columns of the table of signals that it looks at."""
        return tuple(SIGNAL_OF_KEY[key].column.name for key in self.signal_keys)

    @property
    def document_columns(self) -> tuple[str, ...]:
        """Columns of `documents` that its rules look at."""
        return tuple(dict.fromkeys(rule.column for rule in self.column_rules))


def _require_replacement(rules: Mapping[str, Rule], name: str, limits: LanguageLimits | None) -> None:
    if name not in rules:
        raise ValueError(f"replaces no rule of the policy{near_names(name, rules)}")
    if limits is None:
        return
    rule = rules[name]
    if isinstance(rule, ColumnRule) and rule.kind != "number":
        raise ValueError(f"{rule.column} is no number: null switches the rule off, and nothing else can replace it")
    if limits.min is None and limits.max is None:
        raise ValueError("give min or max, or null to switch the rule off")
    measured = rule.column if isinstance(rule, ColumnRule) else rule.signal
    for side, limit in (("min", limits.min), ("max", limits.max)):
        if limit is not None:
            require_firing(measured, rule.at_most, side, limit, called=side)
    require_order(limits.min, limits.max)


def _require_once(key: str, names: list[str], advice: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{key} of the same name: {', '.join(repeated)}{advice}")
