"""`tokens` as Megatron's `.bin` and `.idx` files, a pair for each source, for those who train elsewhere.

`.bin` is the ids of all documents end to end. `.idx` is a header, the length of every sequence, the byte offset of
every sequence, and the sequence at which every document starts; here each document is one sequence. Nothing larger
than a row group is held in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.plumbing.errors import ContractError, UsageError
from schemas.plumbing.whole_file import write_whole
from training.reading.delta_table import system_at
from training.reading.delta_tokens import RowGroup, TokenFile, Tokenizer, TokenTable, open_tokens

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
TYPE_CODES = {np.dtype("<i4"): 4, np.dtype("<u2"): 8}
"""Numbers by which the index names the type of an id; of those that it knows, the two that Megatron writes for
tokens."""

SMALL_VOCABULARY = 65_500
"""Megatron writes uint16 below this size, and int32 from it on."""

MOST_DOCUMENTS = (1 << 31) - 1
"""Megatron counts the documents of a prefix in int32."""

MOST_SOURCES = (1 << 15) - 1
"""Megatron numbers the prefixes of a blend in int16."""

LENGTHS_AT_ONCE = 1 << 20
"""Documents whose offsets are worked out at a time."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Exported:
    """A source: its files are `prefix` with `.bin` and `.idx`, its counts what they hold."""

    source: str
    prefix: str
    documents: int
    tokens: int


def export_megatron(lake: str, out: Path, version: int | None = None, sources: tuple[str, ...] = ()) -> list[Exported]:
    """Write the sources (all, if none is named) of `tokens` at `version` (none for the newest), without what is
    withdrawn; the index of each is written last.

    `UsageError` where Megatron could not read what would be written.
    """
    table = open_tokens(lake, version)
    have = sorted({file.source for file in table.files})
    unknown = sorted(set(sources) - set(have))
    if unknown:
        raise UsageError(f"{table.uri}: has no source {', '.join(unknown)}; it has {', '.join(have)}")
    chosen = sorted(set(sources)) or have
    if len(chosen) > MOST_SOURCES:
        raise UsageError(
            f"{table.uri}: has {len(chosen)} sources, and Megatron blends at most {MOST_SOURCES}; name some with "
            f"--source"
        )
    kind = id_type(table.tokenizer.vocabulary_size)
    out.mkdir(parents=True, exist_ok=True)
    exported = [_export_source(table, source, out, kind) for source in chosen]
    _write_manifest(out, table, kind, exported)
    return exported


def id_type(vocabulary_size: int) -> np.dtype[Any]:
    """The type that Megatron gives to the ids of a vocabulary; `UsageError` where it has none."""
    if vocabulary_size > 1 << 31:
        raise UsageError(
            f"a vocabulary of {vocabulary_size} has ids that int32 cannot hold, and Megatron's files have no wider type"
        )
    return np.dtype("<u2") if vocabulary_size < SMALL_VOCABULARY else np.dtype("<i4")


def _export_source(table: TokenTable, source: str, out: Path, kind: np.dtype[Any]) -> Exported:
    """The index is the last file that appears: where it is, all is."""
    # A source's name may hold what a file's name may not.
    prefix = quote(source, safe=" ")
    index, ids = out / f"{prefix}.idx", out / f"{prefix}.bin"
    index.unlink(missing_ok=True)
    lengths_part, ids_part, index_part = (out / f"{prefix}.{suffix}.part" for suffix in ("lengths", "bin", "idx"))
    documents = tokens = 0
    with ids_part.open("wb") as ids_file, lengths_part.open("wb") as lengths_file:
        for group in _row_groups(table, source):
            lengths = np.diff(group.ends, prepend=0)
            ids_file.write(group.tokens.astype(kind, copy=False).data)
            lengths_file.write(lengths.astype("<i4").data)
            documents, tokens = documents + len(lengths), tokens + len(group.tokens)
            if documents > MOST_DOCUMENTS:
                raise UsageError(
                    f"{table.uri}: source {source} has over {MOST_DOCUMENTS:,} documents, more than Megatron can "
                    f"number; cut it into several"
                )
        _make_durable(ids_file)
    with index_part.open("wb") as index_file:
        _write_index(index_file, lengths_part, documents, kind)
        _make_durable(index_file)
    lengths_part.unlink()
    ids_part.replace(ids)
    index_part.replace(index)
    return Exported(source, prefix, documents, tokens)


def _row_groups(table: TokenTable, source: str) -> Iterator[RowGroup]:
    """The row groups of a source in stored order, each checked, without the documents that are withdrawn."""
    system, read = system_at(table.uri), frozenset(file.increment for file in table.files)
    for file in table.files:
        if file.source == source:
            with pq.ParquetFile(file.path, filesystem=system) as parquet:
                for number in range(parquet.num_row_groups):
                    column = parquet.read_row_group(number, columns=["tokens"])["tokens"]
                    group = RowGroup.of_column(column, table.tokenizer.token_type)
                    _require_sound(group, file, number, table.tokenizer)
                    if table.withdrawn.concern(file.increment, read):
                        doc_ids = parquet.read_row_group(number, columns=["doc_id"])["doc_id"].to_pylist()
                        out = table.withdrawn.are_out(doc_ids, file.increment, read)
                        group = RowGroup.of_column(column.filter(pa.array(~out)), table.tokenizer.token_type)
                    yield group


def _require_sound(group: RowGroup, file: TokenFile, number: int, tokenizer: Tokenizer) -> None:
    """Refuse what would be read back as something else: counts that disagree, empty documents, ids beyond the
    vocabulary, documents without an end."""
    where = f"{file.path}: row group {number}"
    if len(group.tokens) != file.row_group_tokens[number]:
        raise ContractError(
            f"{where} holds {len(group.tokens)} tokens where n_tokens says otherwise; run tokenize_corpus again"
        )
    if len(group.ends) and np.diff(group.ends, prepend=0).min() < 1:
        raise ContractError(f"{where} holds an empty document; run tokenize_corpus again")
    if len(group.tokens) and int(group.tokens.max()) >= tokenizer.vocabulary_size:
        raise ContractError(
            f"{where} holds the id {group.tokens.max()} of a vocabulary of {tokenizer.vocabulary_size}; run "
            f"tokenize_corpus again"
        )
    if (group.tokens[group.ends - 1] != tokenizer.end_of_document_id).any():
        raise ContractError(
            f"{where} holds a document that does not end with the id {tokenizer.end_of_document_id}; run "
            f"tokenize_corpus again"
        )


def _write_index(file: IO[bytes], lengths: Path, documents: int, kind: np.dtype[Any]) -> None:
    file.write(MAGIC + struct.pack("<QBQQ", VERSION, TYPE_CODES[kind], documents, documents + 1))
    with lengths.open("rb") as stored:
        shutil.copyfileobj(stored, file)
        stored.seek(0)
        offset = 0
        while chunk := stored.read(4 * LENGTHS_AT_ONCE):
            ends = offset + np.cumsum(np.frombuffer(chunk, "<i4"), dtype=np.int64) * kind.itemsize
            file.write(np.concatenate([[offset], ends[:-1]]).astype("<i8").data)
            offset = int(ends[-1])
    for first in range(0, documents + 1, LENGTHS_AT_ONCE):
        file.write(np.arange(first, min(first + LENGTHS_AT_ONCE, documents + 1), dtype="<i8").data)


def _make_durable(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _write_manifest(out: Path, table: TokenTable, kind: np.dtype[Any], exported: list[Exported]) -> None:
    """Where the tokens came from, and the tokenizer that they need."""
    tokenizer = table.tokenizer
    manifest = {
        "tokens": table.uri,
        "version": table.version,
        "tokenizer": tokenizer.fingerprint,
        "vocabulary_size": tokenizer.vocabulary_size,
        "end_of_document_id": tokenizer.end_of_document_id,
        "id_type": kind.name,
        "sources": [asdict(source) for source in exported],
    }
    (out / "tokenizer.json").write_text(tokenizer.definition, encoding="utf-8")
    write_whole(out / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
