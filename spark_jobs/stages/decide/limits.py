"""Limits on numbers, and languages with limits of their own.

A limit that no value can break is an error, for it would pass or reject everything without a word.
"""

from __future__ import annotations

import math

from pydantic import Field

from schemas.plumbing.configuration import Config


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


def require_firing(name: str, at_most: float | None, side: str, limit: float, called: str = "") -> None:
    """Raises `ValueError` for a limit outside 0 to `at_most`, between which all values of `name` lie, or at
    the end that none is beyond."""
    prefix = f"{called} " if called else ""
    if not 0 <= limit < math.inf:
        raise ValueError(f"{prefix}must be >= 0 and finite")
    if at_most is not None and limit > at_most:
        raise ValueError(f"{prefix}must be <= {at_most:g}, the largest value of {name}")
    if limit == (0 if side == "min" else at_most):
        raise ValueError(
            f"{prefix}can never fire: {name} is never {'below' if side == 'min' else 'above'} {limit:g}; null "
            f"switches a limit off"
        )


def require_order(low: float | str | None, high: float | str | None) -> None:
    """Raises `ValueError` where no value is between the limits; days and times are in ISO 8601."""
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        raise ValueError(f"min {short(low)} is above max {short(high)}: every document would be rejected")


def short(limit: float | str) -> str:
    """A limit as messages show it."""
    return limit if isinstance(limit, str) else f"{limit:g}"
