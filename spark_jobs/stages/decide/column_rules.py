"""Rules on columns of `documents`: when a page was published or fetched, where it comes from, what it is, what it says
of its rights.

Columns that no rule may look at: `doc_id`, `record_id` and `text_hash` name one document, `text` is what the signals
measure, and `extract_status`, `extract_reason`, `extract_detail` and `safety_evidence` say something only of documents
without text, which no rule of a policy looks at.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import near_names
from schemas.tables.documents import DOCUMENTS
from spark_jobs.kernels.gates.url_gate import host_and_parents
from spark_jobs.kernels.gates.urls import ascii_host
from spark_jobs.kernels.pages.page_type import PAGE_TYPES
from spark_jobs.stages.decide.limits import require_firing, require_order, short

type Kind = Literal["number", "day", "time", "text", "host", "list"]

NOT_FOR_RULES = {
    "doc_id",
    "record_id",
    "text_hash",
    "text",
    "extract_status",
    "extract_reason",
    "extract_detail",
    "safety_evidence",
}
AT_MOST = {"language_score": 1.0, "licence_confidence": 1.0, "tdm_reservation": 1.0}
"""Columns of numbers that end somewhere; none holds a negative one."""

_KIND_OF_TYPE: dict[str, Kind] = {
    "int": "number",
    "long": "number",
    "double": "number",
    "timestamp": "time",
    "string": "text",
    "array<string>": "list",
}
_SPECIAL: dict[str, Kind] = {"date": "day", "host": "host", "domain": "host"}
_IS_NULLABLE = {column.name: column.nullable for column in DOCUMENTS.columns}

KIND_OF_COLUMN: dict[str, Kind] = {
    column.name: _SPECIAL.get(column.name, _KIND_OF_TYPE[column.type])
    for column in DOCUMENTS.columns
    if column.name not in NOT_FOR_RULES
}
"""The columns that a rule may look at, and how their values are compared."""

_WHAT_IT_IS: dict[Kind, str] = {
    "number": "a number",
    "day": "a day",
    "time": "a time",
    "text": "text",
    "host": "a host's name",
    "list": "a list of texts",
}


class ColumnRule(Config):
    """What one column of `documents` may hold. At least one of `min`, `max`, `any_of`, `none_of` and
    `missing: reject` has to be given."""

    column: str
    """The column: a number (`http_status`, `language_score`, `licence_confidence`, `tdm_reservation`, `warc_length`,
    `warc_offset`), a day (`date`), a time (`fetched_at`), the name of a host (`host`, `domain`), a list (`robots`), or
    text (`author`, `charset`, `crawl`, `extractor`, `language`, `licence`, `licence_version`, `mime`, `page_type`,
    `record_type`, `tdm_policy`, `title`, `url`, `warc_path`)."""
    min: float | str | None = None
    """A document with a lower number, an earlier day or an earlier time is rejected. Days are written `2015-01-31`,
    times `2026-01-31T18:00:00Z`; a time without a zone is UTC, and a day among times begins at midnight."""
    max: float | str | None = None
    """A document with a higher number, a later day or a later time is rejected; a day among times is allowed to its
    end."""
    any_of: tuple[str, ...] = ()
    """A document whose text is none of these is rejected; of a list, one element has to be among them. Hosts are
    written in Unicode or Punycode, and `*.example.com` stands for all hosts below example.com, itself not among
    them."""
    none_of: tuple[str, ...] = ()
    """A document whose text, or any element of whose list, is one of these is rejected."""
    missing: Literal["pass", "reject"] = "pass"
    """What becomes of documents without a value, or with an empty list. A `date` that does not begin with a whole
    day is none."""
    name: str = ""
    """Name in `rejected_by`; `documents.COLUMN` unless given."""

    @model_validator(mode="before")
    @classmethod
    def named_by_its_column(cls, values: Any) -> Any:
        if isinstance(values, dict) and "signal" in values:
            raise ValueError("give signal or column, not both")
        return {"name": f"documents.{values.get('column')}", **values} if isinstance(values, dict) else values

    @field_validator("column")
    @classmethod
    def is_for_rules(cls, column: str) -> str:
        if column in NOT_FOR_RULES:
            raise ValueError("is no column that a rule may look at")
        if column not in KIND_OF_COLUMN:
            raise ValueError(f"must be a column of documents{near_names(column, KIND_OF_COLUMN)}")
        return column

    @field_validator("min", "max", mode="before")
    @classmethod
    def is_a_limit(cls, limit: Any, info: ValidationInfo) -> float | str | None:
        column = info.data.get("column")
        if limit is None or column is None:
            return None
        side = str(info.field_name)
        match KIND_OF_COLUMN[column]:
            case "number":
                number = _number(limit)
                require_firing(column, AT_MOST.get(column), side, number)
                return number
            case "day":
                return _day(limit)
            case "time":
                return _time(limit, side)
            case kind:
                raise ValueError(f"{column} is {_WHAT_IT_IS[kind]}: give any_of or none_of")

    @field_validator("any_of", "none_of", mode="before")
    @classmethod
    def are_values(cls, values: Any, info: ValidationInfo) -> Any:
        column = info.data.get("column")
        if column is None or values in (None, (), []):
            return ()
        kind = KIND_OF_COLUMN[column]
        if kind in ("number", "day", "time"):
            raise ValueError(f"{column} is {_WHAT_IT_IS[kind]}: give min or max")
        if not isinstance(values, list | tuple):
            raise ValueError("must be a list")
        for value in values:
            _require_value(column, value)
        return tuple(values)

    @model_validator(mode="after")
    def says_something(self) -> ColumnRule:
        gives_limits = self.min is not None or self.max is not None or self.any_of or self.none_of
        if not gives_limits and self.missing == "pass":
            raise ValueError("give min or max" if self.kind in ("number", "day", "time") else "give any_of or none_of")
        if self.missing == "reject" and not _IS_NULLABLE[self.column]:
            raise ValueError(f"missing: reject can never fire: {self.column} is never missing")
        if both := sorted(set(self.any_of) & set(self.none_of)):
            raise ValueError(f"{', '.join(both)} is in any_of and in none_of")
        require_order(self.min, self.max)
        return self

    @property
    def kind(self) -> Kind:
        return KIND_OF_COLUMN[self.column]

    @property
    def at_most(self) -> float | None:
        """The largest number in the column, if there is one."""
        return AT_MOST.get(self.column)

    def in_words(self) -> str:
        """What it lets pass."""
        parts = (
            f"at least {short(self.min)}" if self.min is not None else "",
            f"at most {short(self.max)}" if self.max is not None else "",
            f"one of {', '.join(self.any_of)}" if self.any_of else "",
            f"none of {', '.join(self.none_of)}" if self.none_of else "",
            "not missing" if self.missing == "reject" else "",
        )
        return " and ".join(filter(None, parts))


def names_of_host(host: str) -> set[str]:
    """The entries of `any_of` and `none_of` that mean this host: itself, and `*.` with each name above it. No entry
    means what is no valid name."""
    names = host_and_parents(ascii_host(host.lower()))
    return {*names[:1], *(f"*.{parent}" for parent in names[1:])}


def host_entries(entries: Iterable[str]) -> frozenset[str]:
    """Entries of `any_of` and `none_of` as `names_of_host` has them."""
    return frozenset(
        f"*.{ascii_host(entry[2:].lower())}" if entry.startswith("*.") else ascii_host(entry.lower())
        for entry in entries
    )


def _require_value(column: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} must be text, in quotes where YAML takes it for something else")
    if not value:
        raise ValueError("holds an empty text")
    kind = KIND_OF_COLUMN[column]
    if kind == "host" and not _is_host(value.removeprefix("*.")):
        raise ValueError(f"{value} is no host: it must look like example.com or *.example.com")
    if column == "page_type" and value not in PAGE_TYPES:
        raise ValueError(f"{value} is no page type{near_names(value, PAGE_TYPES)}")
    if column == "mime" and (value != value.lower() or ";" in value):
        raise ValueError(f"{value} can never be found: mime is in lower case and without parameters")


def _is_host(text: str) -> bool:
    return bool(ascii_host(text.lower())) and not set(text) & set("*/?#@ \t") and not text.endswith(".")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number")
    try:
        return float(value)
    except ValueError:
        raise ValueError("must be a number") from None


def _day(value: Any) -> str:
    """YYYY-MM-DD."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise ValueError("must be a day such as 2015-01-31") from None


def _time(value: Any, side: str) -> str:
    """ISO 8601 in UTC, with microseconds, so that text sorts as time."""
    try:
        if not isinstance(value, date):
            value = datetime.fromisoformat(value) if len(value) > len("2015-01-31") else date.fromisoformat(value)
        if not isinstance(value, datetime):
            value = datetime.combine(value, time.min if side == "min" else time.max)
        zoned = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return str(zoned.astimezone(UTC).isoformat(timespec="microseconds"))
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-01-31T18:00:00Z, or a day") from None
