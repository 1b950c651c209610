"""What a signal is: a number measured on a text, by a rule or by a model, declared once with all that follows from
it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from schemas.contract import Column

type Value = int | float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A document whose value is below `min` or above `max` is rejected; the limits themselves pass."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A number measured on the text of a document. Values are never negative and never NaN.

    Without a model, the value is 0 where the text is empty, and never null. With one it is null where no such model
    is given, or none for the language.
    """

    family: str
    """Rule set that it belongs to: the first part of its key in a policy."""
    name: str
    """The second part of the key."""
    type: Literal["long", "double"]
    """Spark SQL type of its column."""
    description: str
    """Its meaning, as the contract and the reference have it."""
    source: str
    """Paper and section, or program, that defines it."""
    measure: Callable[[Any], Value]
    """Pure function from a text (`TextView`), or from the score that the model gave (a field of `ModelScores`), to
    the value."""
    default: Limits | None
    """Limits that the source recommends; None where it is only measured."""
    at_most: float | None = None
    """The largest value that it can take, if there is one."""
    model: str | None = None
    """Kind of the model whose score it is, a field of `ModelScores`; None where it is counted on the text."""
    examples: tuple[tuple[str, Value], ...] = ()
    """Texts and their values; documentation and tests at once. None where they depend on a model."""

    @property
    def key(self) -> str:
        """Its name in a policy and in `rejected_by`."""
        return f"{self.family}.{self.name}"

    @property
    def column(self) -> Column:
        null = f"; null without a {self.model} model" if self.model else ""
        return Column(
            name=f"{self.family}_{self.name}",
            type=self.type,
            description=f"{self.description} ({self.source}){null}",
            nullable=bool(self.model),
        )

    @property
    def range_condition(self) -> str:
        """An SQL condition that holds for every possible value; NaN, which Spark orders above all numbers, does not
        meet it."""
        name = self.column.name
        if self.at_most is not None:
            return f"{name} BETWEEN 0 AND {self.at_most:g}"
        return f"{name} >= 0" if self.type == "long" else f"({name} >= 0 AND NOT isnan({name}))"

    def markdown(self) -> str:
        """A row `| key | limits | meaning | source |` of the reference."""
        limits = self.default or Limits()
        parts = [
            f">= {limits.min:g}" if limits.min is not None else "",
            f"<= {limits.max:g}" if limits.max is not None else "",
        ]
        limits = " and ".join(filter(None, parts)) or "measured only"
        return f"| `{self.key}` | {limits} | {self.description} | {self.source} |"


def ratio(part: Value, whole: Value) -> float:
    """`part / whole`, and 0 for nothing of nothing."""
    return part / whole if whole else 0.0
