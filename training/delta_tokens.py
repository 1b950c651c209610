"""The `tokens` table at a pinned version, read without a JVM: Delta's log says which files count, Parquet holds the tokens.

A binary column of Arrow is one stretch of bytes, so the tokens column of a row group already is its documents laid end to end: a sequence is a
slice of it, without a copy per document.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSystem, PyFileSystem

from schemas.contract import Table
from schemas.errors import ContractError, NothingToDo, UsageError
from schemas.tokens import TOKENIZERS, TOKENS

UNREADABLE_FEATURES = {
    "deletionVectors": "run REORG TABLE delta.`{uri}` APPLY (PURGE) and ALTER TABLE ... DROP FEATURE deletionVectors",
    "columnMapping": "set the table property delta.columnMapping.mode to 'none' (ALTER TABLE ... DROP FEATURE columnMapping)",
    "typeWidening": "run ALTER TABLE ... DROP FEATURE typeWidening",
}
"""Table features under which the Parquet files do not say what the table says, and what takes each away."""

OPEN_ROW_GROUPS = 4
"""Row groups that a reader keeps in memory: a sequence crosses two, and neighbours in the order share theirs."""


@dataclass(frozen=True)
class Tokenizer:
    """A row of `tokenizers`."""

    fingerprint: str
    vocabulary_size: int
    end_of_document_id: int
    definition: str

    @property
    def token_type(self) -> np.dtype[Any]:
        """Type in which `tokens` stores the ids of this tokenizer."""
        return np.dtype("<u2") if self.vocabulary_size <= 1 << 16 else np.dtype("<u4")


@dataclass(frozen=True)
class TokenFile:
    """A Parquet file of the table: its source, and the tokens of each of its row groups."""

    path: str
    source: str
    row_group_tokens: tuple[int, ...]


@dataclass(frozen=True)
class TokenTable:
    """The table at one version; `files` are in stored order within each source."""

    uri: str
    version: int
    files: tuple[TokenFile, ...]
    tokenizer: Tokenizer

    @property
    def source_tokens(self) -> dict[str, int]:
        """Tokens of each source, by name."""
        tokens: dict[str, int] = {}
        for file in self.files:
            tokens[file.source] = tokens.get(file.source, 0) + sum(file.row_group_tokens)
        return dict(sorted(tokens.items()))

    @property
    def tokens(self) -> int:
        return sum(self.source_tokens.values())


def open_tokens(lake: str, version: int | None) -> TokenTable:
    """Open `tokens` at `version` (none for the newest) and the tokenizer that made it; `UsageError` where it cannot be read rightly."""
    table = open_table(lake, TOKENS, version)
    files = system_of(table)
    ordered = _files_in_stored_order(table)
    counted, fingerprints = [], set[str]()
    for path, source in ordered:
        file = pq.ParquetFile(path, filesystem=files)
        tokens = []
        for group in range(file.num_row_groups):
            columns = file.read_row_group(group, columns=["n_tokens", "tokenizer"])
            tokens.append(pc.sum(columns["n_tokens"]).as_py() or 0)
            fingerprints.update(pc.unique(columns["tokenizer"]).to_pylist())
        counted.append(TokenFile(path, source, tuple(tokens)))
    tokenizer = _tokenizer(lake, fingerprints, table)
    return TokenTable(table.table_uri, table.version(), tuple(counted), tokenizer)


def open_table(lake: str, contract: Table, version: int | None = None) -> DeltaTable:
    """A table of the lake, checked for its contract and for features that Parquet files alone do not show."""
    uri = f"{lake.rstrip('/')}/{contract.name}"
    if "://" not in lake and not Path(lake).is_dir():
        raise UsageError(f"{lake}: there is no lake here")
    try:
        table = DeltaTable(uri, version=version)
    except TableNotFoundError:
        raise UsageError(f"{uri}: the lake has no table `{contract.name}`") from None
    except DeltaError as error:
        wanted = f" at version {version}" if version is not None else ""
        raise UsageError(f"{uri}: cannot be opened{wanted}: {' '.join(str(error).split())}") from None
    _refuse_unreadable(table, uri)
    found = {field.name: _type_name(field.type) for field in table.schema().fields}
    promised = {column.name: column.type for column in contract.columns}
    if found != promised:
        wrong = sorted(name for name in {*found, *promised} if found.get(name) != promised.get(name))
        raise UsageError(f"{uri}: does not fit the contract of `{contract.name}` in {', '.join(wrong)}")
    return table


def system_of(table: DeltaTable) -> FileSystem:
    """The folder of the table, local or in an object store, as pyarrow sees it."""
    return PyFileSystem(DeltaStorageHandler(table.table_uri))


class SourceReader:
    """Tokens of one source by their place in the stored order; holds at most `OPEN_ROW_GROUPS` row groups in memory."""

    def __init__(self, table: TokenTable, source: str) -> None:
        self._files = PyFileSystem(DeltaStorageHandler(table.uri))
        self._type = table.tokenizer.token_type
        self._groups = [(file.path, group) for file in table.files if file.source == source for group in range(len(file.row_group_tokens))]
        counts = [tokens for file in table.files if file.source == source for tokens in file.row_group_tokens]
        self._starts = [0, *accumulate(counts)]
        self._open: OrderedDict[int, np.ndarray] = OrderedDict()

    def read(self, start: int, length: int) -> np.ndarray:
        """Tokens `[start, start + length)`, as they are stored (uint16 or uint32)."""
        parts = []
        group = bisect_right(self._starts, start) - 1
        while length > 0:
            offset = start - self._starts[group]
            part = self._row_group(group)[offset : offset + length]
            parts.append(part)
            start, length, group = start + len(part), length - len(part), group + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _row_group(self, group: int) -> np.ndarray:
        if group not in self._open:
            while len(self._open) >= OPEN_ROW_GROUPS:
                self._open.popitem(last=False)
            path, index = self._groups[group]
            with pq.ParquetFile(path, filesystem=self._files) as file:
                tokens = token_array(file.read_row_group(index, columns=["tokens"])["tokens"], self._type)
            if len(tokens) != self._starts[group + 1] - self._starts[group]:
                raise ContractError(f"{path}: row group {index} holds {len(tokens)} tokens where n_tokens says otherwise; run tokenize_corpus again")
            self._open[group] = tokens
        self._open.move_to_end(group)
        return self._open[group]


def token_array(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> np.ndarray:
    """All values of a binary column, end to end, as one array of token ids."""
    return np.concatenate([_chunk_tokens(chunk, dtype) for chunk in column.chunks] or [np.empty(0, dtype)])


def _chunk_tokens(chunk: pa.Array, dtype: np.dtype[Any]) -> np.ndarray:
    _, offsets, values = chunk.buffers()
    if values is None:
        return np.empty(0, dtype)
    ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return np.frombuffer(values, np.uint8)[ends[0] : ends[-1]].view(dtype)


def _files_in_stored_order(table: DeltaTable) -> list[tuple[str, str]]:
    """(path, source) of every file, by source and least shuffle key: however many files hold a source, their rows come in the same order."""
    actions = pa.table(table.get_add_actions(flatten=True))
    if actions.num_rows == 0:
        return []
    if not {"min.shuffle_key", "max.shuffle_key"} <= set(actions.column_names) or actions["min.shuffle_key"].null_count:
        raise UsageError(f"{table.table_uri}: its log has no statistics of shuffle_key, so the order of its files is unknown; run tokenize_corpus again")
    columns = [actions[name].to_pylist() for name in ("partition.source", "min.shuffle_key", "max.shuffle_key", "path")]
    files = sorted(zip(*columns, strict=True))
    for (source, _, last, path), (next_source, first, _, next_path) in pairwise(files):
        if source == next_source and first < last:
            raise UsageError(f"{table.table_uri}: {path} and {next_path} overlap in shuffle_key, so neither order is the stored one; run tokenize_corpus again")
    return [(unquote(path), source) for source, _, _, path in files]


def _tokenizer(lake: str, fingerprints: set[str], tokens: DeltaTable) -> Tokenizer:
    known = {row["fingerprint"]: row for row in small_table_rows(open_table(lake, TOKENIZERS))}
    if len(fingerprints) > 1:
        raise UsageError(f"{tokens.table_uri}: holds tokens of {len(fingerprints)} tokenizers; run tokenize_corpus again")
    if not fingerprints:
        raise NothingToDo(f"{tokens.table_uri}: holds no tokens at version {tokens.version()}")
    fingerprint = fingerprints.pop()
    if fingerprint not in known:
        have = ", ".join(name[:12] for name in known) or "none"
        raise UsageError(f"{tokens.table_uri}: was made with tokenizer {fingerprint[:12]}, but `tokenizers` has {have}; run tokenize_corpus again")
    row = known[fingerprint]
    return Tokenizer(fingerprint, row["vocabulary_size"], row["end_of_document_id"], row["definition"])


def small_table_rows(table: DeltaTable) -> list[dict[str, Any]]:
    """All rows of a small table without partitions."""
    files = system_of(table)
    paths = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
    return [row for path in sorted(paths) for row in pq.read_table(unquote(path), filesystem=files).to_pylist()]


def _refuse_unreadable(table: DeltaTable, uri: str) -> None:
    features = set(table.protocol().reader_features or ())
    properties = table.metadata().configuration
    if properties.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    for feature, remedy in UNREADABLE_FEATURES.items():
        if feature in features:
            raise UsageError(f"{uri}: uses {feature}, which the trainer cannot honour; {remedy.format(uri=uri)}")


def _type_name(kind: Any) -> str:
    """A Delta type as contracts name it."""
    if kind.type == "array":
        return f"array<{_type_name(kind.element_type)}>"
    return {"integer": "int"}.get(kind.type, kind.type)
