"""Evaluation sets as they are published: JSON lines, plain or gzipped, or a Delta table, with one item in each row."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from schemas.plumbing.errors import UsageError


class Item(NamedTuple):
    """What is asked, and how it is called in the set."""

    item_id: str
    text: str


def read_items(path: Path, fields: Sequence[str], id_field: str) -> Iterator[Item]:
    """Items with the strings of `fields`, those in lists and groups included, a line each.

    An item without an id is called by its line, and in a Delta table, whose rows have no order, by the hash of its
    text. Raises `UsageError` for what cannot be read, a missing field, or an empty set.
    """
    found = False
    for place, row in _delta_rows(path) if _is_delta(path) else _json_rows(path):
        missing = [field for field in fields if field not in row]
        if missing:
            raise UsageError(
                f"{path}: {place or 'a row'} has no field {', '.join(missing)}; it has {', '.join(sorted(row))}"
            )
        found = True
        text = "\n".join(string for field in fields for string in _strings(row[field]))
        named = row.get(id_field)
        yield Item(str(named) if named is not None else place or xxhash.xxh3_64_hexdigest(text.encode()), text)
    if not found:
        raise UsageError(f"{path}: the evaluation set has no items")


def set_digest(path: Path) -> str:
    """SHA-256 of a file; the id and version of a Delta table."""
    if _is_delta(path):
        table = _delta_table(path)
        return f"{table.metadata().id} version {table.version()}"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: no evaluation set can be read there: {error.strerror}") from None


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as lines
        ):
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise UsageError(f"{path}: line {number} is no JSON object")
                yield f"line {number}", row
    except OSError as error:
        raise UsageError(f"{path}: no evaluation set can be read there: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON lines in UTF-8: {error}") from None


def _is_delta(path: Path) -> bool:
    return (path / "_delta_log").is_dir()


def _delta_table(path: Path) -> Any:
    from deltalake import DeltaTable

    return DeltaTable(str(path))


def _delta_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for batch in _delta_table(path).to_pyarrow_dataset().to_batches():
        for row in batch.to_pylist():
            yield "", row


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (string for part in value.values() for string in _strings(part))
    elif isinstance(value, list | tuple):
        yield from (string for part in value for string in _strings(part))
