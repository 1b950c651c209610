"""Texts to train a model on, from files: plain text, JSON lines, Parquet, Delta tables, and labelled lines."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.dataset
import xxhash

from schemas.plumbing.errors import UsageError

type Labelled = tuple[str, str]
"""A label and a text."""


def find_files(patterns: Sequence[str]) -> tuple[Path, ...]:
    """Files, or Delta tables, that paths and glob patterns name, sorted and each once. Raises `UsageError` for a
    pattern that names none."""
    found: set[Path] = set()
    for pattern in patterns:
        folder = Path(pattern).anchor or "."
        matches = (
            [Path(pattern)]
            if Path(pattern).exists()
            else sorted(Path(folder).glob(pattern.removeprefix(Path(pattern).anchor)))
        )
        if not matches:
            raise UsageError(f"{pattern}: no such file")
        found |= set(matches)
    return tuple(sorted(found))


def read_documents(paths: Iterable[Path], separator: str | None) -> Iterator[str]:
    """Texts of all files, blank ones left out.

    `.jsonl` has a text in the key `text` of each line, `.parquet` and a Delta table in the column `text`; all else
    is plain text whose documents are parted by blank lines, or by lines that match the regular expression
    `separator`. `.gz` is read through gzip.
    """
    for path in paths:
        for text in _read(path, separator):
            if not text.isspace() and text:
                yield text


def read_labelled(paths: Iterable[Path]) -> Iterator[Labelled]:
    """Lines `label<TAB>text`, blank texts left out; raises `UsageError` for a line without a tab."""
    for path in paths:
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                label, tab, text = line.rstrip("\n").partition("\t")
                if not tab or not label:
                    raise UsageError(f"{path}:{number}: must be a label, a tab and a text")
                if text and not text.isspace():
                    yield label, text


def open_text(path: Path) -> IO[str]:
    return (
        gzip.open(path, "rt", encoding="utf-8", errors="replace")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8", errors="replace")
    )


def in_holdout(text: str, share: float, seed: int) -> bool:
    """Whether a text is kept back for measuring: by its own hash, so that equal texts are on one side, wherever they
    come from."""
    return xxhash.xxh3_64_intdigest(text.encode(), seed=seed) < share * 2**64


def _read(path: Path, separator: str | None) -> Iterator[str]:
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if path.is_dir():
        yield from _column(_delta_files(path))
    elif suffix == ".parquet":
        yield from _column([str(path)])
    elif suffix == ".jsonl":
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield str(json.loads(line)["text"] or "")
                except (ValueError, KeyError, TypeError):
                    raise UsageError(f"{path}:{number}: must be a JSON object with the key text") from None
    else:
        yield from _parts(path, separator)


def _parts(path: Path, separator: str | None) -> Iterator[str]:
    parts = re.compile(separator).search if separator is not None else None
    lines: list[str] = []
    with open_text(path) as file:
        for line in file:
            if parts(line) if parts is not None else line.isspace():
                yield "".join(lines).strip("\n")
                lines = []
            else:
                lines.append(line)
    yield "".join(lines).strip("\n")


def _delta_files(table: Path) -> list[str]:
    import deltalake

    if not (table / "_delta_log").is_dir():
        raise UsageError(f"{table}: a folder, but no Delta table")
    return sorted(deltalake.DeltaTable(table).file_uris())


def _column(files: list[str]) -> Iterator[str]:
    data = pyarrow.dataset.dataset(files, format="parquet")
    if "text" not in data.schema.names:
        raise UsageError(f"{files[0]}: has no column text")
    batch: pa.RecordBatch
    for batch in data.to_batches(columns=["text"]):
        yield from (text for text in batch.column("text").to_pylist() if text is not None)
