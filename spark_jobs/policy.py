"""A policy: which documents to keep, as limits on what was measured. One YAML file, read like the table of a paper."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.configuration import Config, load_config
from schemas.errors import UsageError
from spark_jobs.signals import SIGNALS

POLICY_FOLDER = Path(__file__).parent / "policies"
_SIGNAL_OF_KEY = {signal.key: signal for signal in SIGNALS}


class LanguageRule(Config):
    """A language that is wanted."""

    language: str
    """Its name, as the language model gives it."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Lowest probability at which the language counts as found."""


class Rule(Config):
    """Limits on one signal. A limit that is not given is the signal's default; `null` switches it off."""

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
        """A rule may be written as the bare key of its signal; what is not given comes from the signal's declaration."""
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
        if key not in _SIGNAL_OF_KEY:
            near = difflib.get_close_matches(key, _SIGNAL_OF_KEY, n=3, cutoff=0.5)
            raise ValueError(f"must be the key of a signal{' (perhaps ' + ' or '.join(near) + ')' if near else ''}")
        return key

    @field_validator("min", "max")
    @classmethod
    def can_fire(cls, limit: float | None, info: ValidationInfo) -> float | None:
        """A limit outside what the signal can be would pass or reject everything without a word."""
        signal = _SIGNAL_OF_KEY.get(info.data.get("signal", ""))
        if limit is None or signal is None:
            return limit
        if not limit >= 0:
            raise ValueError("must be >= 0")
        if signal.at_most is not None and limit > signal.at_most:
            raise ValueError(f"must be <= {signal.at_most:g}, the largest value of {signal.key}")
        return limit

    @model_validator(mode="after")
    def has_a_limit(self) -> Rule:
        if self.min is None and self.max is None:
            raise ValueError(f"{self.signal} has no default limit: give min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: every document would be rejected")
        return self

    @property
    def column(self) -> str:
        """Its column in the table of signals."""
        return _SIGNAL_OF_KEY[self.signal].column.name


class DuplicateRule(Config):
    """Whether documents with an earlier equal or similar one are rejected."""

    exact: bool = True
    """Reject documents whose text equals an earlier one's, as `duplicate.exact`."""
    near: bool = True
    """Reject documents verified similar to an earlier kept one, as `duplicate.near`."""


class Policy(Config):
    """Which documents to keep. All rules are tried on every document, so that each rejection names every rule behind it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Short name, written into each decision."""
    description: str = ""
    """What the policy is for, and where its limits come from."""
    languages: tuple[LanguageRule, ...] = ()
    """Languages to keep; empty keeps all, and documents without one."""
    rules: tuple[Rule, ...] = ()
    """Limits on signals, in the order in which `rejected_by` lists them."""
    duplicates: DuplicateRule = DuplicateRule()
    """What to do with duplicates."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Sampling weight of a kept document."""
    language_weights: dict[str, float] = Field(default={})
    """Sampling weights that replace `weight` for documents of a language."""

    @model_validator(mode="after")
    def is_consistent(self) -> Policy:
        names = [rule.name for rule in self.rules]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"rules of the same name: {', '.join(repeated)}; give each a name of its own")
        not_positive = sorted(language for language, weight in self.language_weights.items() if not 0 < weight < float("inf"))
        if not_positive:
            raise ValueError(f"language_weights of {', '.join(not_positive)} must be positive")
        return self


def resolve_policy(value: Any) -> Any:
    """A bundled policy's name or the path of a YAML file becomes the policy itself, so that whoever hashes a configuration hashes its rules.

    Raises `UsageError` where there is no such policy, or its file has a fault.
    """
    if not isinstance(value, str | Path):
        return value
    bundled = {path.stem: path for path in sorted(POLICY_FOLDER.glob("*.yaml"))}
    path = bundled.get(str(value), Path(value))
    if not path.is_file():
        raise UsageError(f"policy {value}: neither a file nor a bundled policy; bundled are {', '.join(bundled)}")
    return load_config(Policy, path)
