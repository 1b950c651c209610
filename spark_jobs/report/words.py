"""Limits, numbers and rules in words, as the report and `corpus explain` say them."""

from __future__ import annotations

from typing import Any

from schemas.tables.reasons import rule_in_words
from spark_jobs.signals import SIGNALS

_SIGNALS = {signal.key: signal.description for signal in SIGNALS}


def allowed(low: float | None, high: float | None) -> str:
    """Limits in words."""
    parts = [f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
    return " and ".join(filter(None, parts)) or "anything"


def number(value: float | None) -> str:
    return f"{value:.6g}" if value is not None else "not measured"


def column_value(value: Any) -> str:
    """A value of a column of `documents` on one line."""
    match value:
        case None | []:
            return "missing"
        case list():
            return ", ".join(value)
        case float():
            return number(value)
        case _:
            return " ".join(str(value).split())


def meaning(rule: str) -> str:
    """What a rule in `rejected_by` looks at; empty for one that a policy has given a name of its own."""
    return _SIGNALS.get(rule) or rule_in_words(rule)
