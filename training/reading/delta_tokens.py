"""The `tokens` table at a pinned version, read without a JVM: Delta's log says which files count, Parquet holds the
tokens.

A binary column of Arrow is one stretch of bytes, so the tokens column of a row group already is its documents laid
end to end: a sequence is a slice of it, without a copy per document.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow.fs import FileSystem

from schemas.plumbing.errors import ContractError, NothingToDo, UsageError
from schemas.tables.tokens import TOKENIZERS, TOKENS
from training.reading.delta_table import open_table, small_table_rows, system_at, system_of
from training.reading.recent import Recent
from training.reading.withdrawn import NOTHING, Increments, Withdrawn, read_withdrawn

OPEN_ROW_GROUPS = 4
"""Row groups that a reader keeps in memory: a sequence crosses two, and neighbours in the order share theirs."""

OPENING_THREADS = 8
"""Files whose tokens are counted at once when a table is opened: it waits for disks more than it computes."""


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
    """A Parquet file of the table: its source and increment, the pinned version that first has it, the tokens of each
    of its row groups, and the least and greatest weight of its documents."""

    path: str
    source: str
    increment: int
    version: int
    row_group_tokens: tuple[int, ...]
    weights: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class TokenTable:
    """The table at its pinned versions, ascending; `files` are in stored order within each source and increment.
    `withdrawn` says which of the documents are not to be read, though their tokens are there."""

    uri: str
    versions: tuple[int, ...]
    files: tuple[TokenFile, ...]
    tokenizer: Tokenizer
    withdrawn: Withdrawn = NOTHING

    @property
    def version(self) -> int:
        """The version that a run starts with."""
        return self.versions[0]

    @property
    def parts(self) -> dict[tuple[int, str, int], int]:
        """Stored tokens by the pinned version that first has them, their source and increment, in that order."""
        tokens: dict[tuple[int, str, int], int] = {}
        for file in self.files:
            key = (file.version, file.source, file.increment)
            tokens[key] = tokens.get(key, 0) + sum(file.row_group_tokens)
        return dict(sorted(tokens.items()))

    @property
    def tokens(self) -> int:
        return sum(self.parts.values())

    def part_files(self, source: str, increment: int) -> tuple[TokenFile, ...]:
        """The files of one increment of a source."""
        return tuple(file for file in self.files if (file.source, file.increment) == (source, increment))

    def part_tokens(self, source: str, increment: int) -> int:
        return sum(sum(file.row_group_tokens) for file in self.part_files(source, increment))

    def weights(self, source: str, increment: int) -> tuple[float, float]:
        """The least and greatest weight of an increment's documents."""
        lightest, heaviest = zip(*(file.weights for file in self.part_files(source, increment)), strict=True)
        return min(lightest), max(heaviest)


def open_tokens(lake: str, version: int | None, later: tuple[int, ...] = ()) -> TokenTable:
    """Open `tokens` at `version` (none for the newest) and what `later` versions, ascending, append; the tokenizer
    that made them; and all that is withdrawn by now.

    `UsageError` where it cannot be read rightly, or where a later version lacks files of an earlier one.
    """
    table = open_table(lake, TOKENS, version)
    versions = (table.version(), *later)
    if list(versions) != sorted(set(versions)):
        raise UsageError(
            f"stages: tokens_version must ascend from version {versions[0]}, not {', '.join(map(str, later))}"
        )
    known: dict[str, tuple[str, int]] = {}
    files: list[tuple[str, str, int, int]] = []
    for number, pinned in enumerate(versions):
        found = _files_in_stored_order(open_table(lake, TOKENS, pinned) if number else table, known)
        files += [(path, source, increment, pinned) for path, (source, increment) in found.items()]
        known |= found
    system = system_of(table)
    with ThreadPoolExecutor(OPENING_THREADS) as pool:
        read = list(pool.map(lambda file: _count_tokens(system, file[0]), files))
    counted = tuple(TokenFile(*file, *facts) for file, (*facts, _) in zip(files, read, strict=True))
    fingerprints = set().union(*(found for *_, found in read))
    tokenizer = _tokenizer(lake, fingerprints, table)
    return TokenTable(table.table_uri, versions, counted, tokenizer, read_withdrawn(lake))


def _count_tokens(system: FileSystem, path: str) -> tuple[tuple[int, ...], tuple[float, float], set[str]]:
    """Tokens of each row group of a file, the least and greatest weight, and the tokenizers that made them."""
    tokens, weights, fingerprints = [], set[float](), set[str]()
    with pq.ParquetFile(path, filesystem=system) as file:
        for group in range(file.num_row_groups):
            tokens.append(
                pc.sum(file.read_row_group(group, columns=["n_tokens"], use_threads=False)["n_tokens"]).as_py() or 0
            )
            weights |= _extremes(file, group, "weight")
            found = _extremes(file, group, "tokenizer")
            if len(found) > 1:
                found = set(pc.unique(file.read_row_group(group, columns=["tokenizer"])["tokenizer"]).to_pylist())
            fingerprints |= found
    return tuple(tokens), (min(weights, default=1.0), max(weights, default=1.0)), fingerprints


def _extremes(file: pq.ParquetFile, group: int, name: str) -> set[Any]:
    """The least and the greatest value of a column in a row group: by its statistics, or else by reading it."""
    statistics = file.metadata.row_group(group).column(file.schema_arrow.names.index(name)).statistics
    if statistics is not None and statistics.has_min_max:
        return {statistics.min, statistics.max}
    found = pc.min_max(file.read_row_group(group, columns=[name])[name]).as_py()
    return {found["min"], found["max"]} - {None}


class PartReader:
    """Tokens of one increment of a source by their place in the stored order; holds at most `OPEN_ROW_GROUPS` row
    groups in memory."""

    def __init__(self, table: TokenTable, source: str, increment: int) -> None:
        files = table.part_files(source, increment)
        self._increment, self._withdrawn = increment, table.withdrawn
        self._files = system_at(table.uri)
        self.token_type = table.tokenizer.token_type
        self._groups = [(file.path, group) for file in files for group in range(len(file.row_group_tokens))]
        self._starts = [0, *accumulate(tokens for file in files for tokens in file.row_group_tokens)]
        self._open: Recent[int, RowGroup] = Recent(OPEN_ROW_GROUPS)
        self._documents: Recent[int, tuple[list[str], np.ndarray]] = Recent(OPEN_ROW_GROUPS)
        self._out: Recent[tuple[int, Increments], list[tuple[int, int]]] = Recent(OPEN_ROW_GROUPS)

    def read(self, start: int, end: int) -> np.ndarray:
        """Tokens `[start, end)`, as they are stored (uint16 or uint32)."""
        parts = [group.tokens[low:high] for _, group, low, high in self._stretch(start, end)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def document_ends(self, start: int, end: int) -> list[int]:
        """Where documents end in `(start, end]`, relative to `start`."""
        ends: list[int] = []
        for first, group, low, high in self._stretch(start, end):
            inside = group.ends[np.searchsorted(group.ends, low, "right") : np.searchsorted(group.ends, high, "right")]
            ends += (inside + (first - start)).tolist()
        return ends

    def end_of_document(self, token: int) -> int:
        """Where the document that holds a token ends."""
        index = bisect_right(self._starts, token) - 1
        ends = self._row_group(index).ends
        # A row group holds whole documents.
        return self._starts[index] + int(ends[np.searchsorted(ends, token - self._starts[index], "right")])

    def documents(self, start: int, end: int) -> list[tuple[str, int, int]]:
        """(doc_id, first token, end) of the documents that have tokens in `[start, end)`, by their place in the
        part."""
        found = []
        for index in self._indices(start, end):
            doc_ids, bounds = self._listed(index)
            first, last = np.searchsorted(bounds, [start, end - 1], "right")
            found += [
                (doc_ids[row - 1], int(bounds[row - 1]), int(bounds[row]))
                for row in range(max(1, first), min(last, len(doc_ids)) + 1)
            ]
        return found

    def withdrawn(self, start: int, end: int, read: Increments) -> np.ndarray:
        """bool [end - start]: which of the tokens `[start, end)` are of documents that are out for one who reads the
        increments `read`."""
        found = np.zeros(end - start, bool)
        if self._withdrawn.concern(self._increment, read):
            for index in self._indices(start, end):
                for first, last in self._out.get((index, read), partial(self._read_out, index, read)):
                    found[max(0, first - start) : max(0, last - start)] = True
        return found

    def _read_out(self, index: int, read: Increments) -> list[tuple[int, int]]:
        """[first token, end) of a row group's documents that are out."""
        doc_ids, bounds = self._listed(index)
        out = np.flatnonzero(self._withdrawn.are_out(doc_ids, self._increment, read))
        return [(int(bounds[row]), int(bounds[row + 1])) for row in out]

    def places(self, doc_ids: set[str]) -> list[tuple[str, int, int]]:
        """The same of the documents with these ids; reads the ids of the whole part."""
        found = []
        for index in range(len(self._groups)):
            listed, bounds = self._listed(index)
            found += [
                (doc_id, int(bounds[row]), int(bounds[row + 1]))
                for row, doc_id in enumerate(listed)
                if doc_id in doc_ids
            ]
        return found

    def _listed(self, index: int) -> tuple[list[str], np.ndarray]:
        """Ids of a row group's documents, and where they begin in the part; one more bound than ids."""
        return self._documents.get(index, lambda: self._read_listed(index))

    def _read_listed(self, index: int) -> tuple[list[str], np.ndarray]:
        path, number = self._groups[index]
        with pq.ParquetFile(path, filesystem=self._files) as file:
            rows = file.read_row_group(number, columns=["doc_id", "n_tokens"])
        bounds = np.concatenate([[0], np.cumsum(rows["n_tokens"].to_numpy().astype(np.int64))]) + self._starts[index]
        return rows["doc_id"].to_pylist(), bounds

    @property
    def tokens(self) -> int:
        """Stored tokens."""
        return self._starts[-1]

    def _indices(self, start: int, end: int) -> range:
        return range(bisect_right(self._starts, start) - 1, bisect_left(self._starts, end))

    def _stretch(self, start: int, end: int) -> Iterator[tuple[int, RowGroup, int, int]]:
        """Row groups that hold `[start, end)`: first token in the part, the group, and the stretch in it."""
        for index in self._indices(start, end):
            first = self._starts[index]
            yield first, self._row_group(index), max(0, start - first), min(end, self._starts[index + 1]) - first

    def _row_group(self, index: int) -> RowGroup:
        return self._open.get(index, lambda: self._read_row_group(index))

    def _read_row_group(self, index: int) -> RowGroup:
        path, number = self._groups[index]
        with pq.ParquetFile(path, filesystem=self._files) as file:
            group = RowGroup.of_column(
                file.read_row_group(number, columns=["tokens"], use_threads=False)["tokens"], self.token_type
            )
        if len(group.tokens) != self._starts[index + 1] - self._starts[index]:
            raise ContractError(
                f"{path}: row group {number} holds {len(group.tokens)} tokens where n_tokens says otherwise; run "
                f"tokenize_corpus again"
            )
        return group


@dataclass(frozen=True)
class RowGroup:
    """All tokens of a row group, end to end, and where its documents end, ascending."""

    tokens: np.ndarray
    ends: np.ndarray

    @classmethod
    def of_column(cls, column: pa.ChunkedArray, dtype: np.dtype[Any]) -> RowGroup:
        """The values of a binary column are one stretch of bytes already."""
        chunks = [_chunk_tokens(chunk, dtype) for chunk in column.chunks if len(chunk)]
        if len(chunks) == 1:
            return cls(*chunks[0])
        firsts = accumulate((len(tokens) for tokens, _ in chunks), initial=0)
        tokens = [tokens for tokens, _ in chunks] or [np.empty(0, dtype)]
        ends = [ends + first for (_, ends), first in zip(chunks, firsts, strict=False)] or [np.empty(0, np.int64)]
        return cls(np.concatenate(tokens), np.concatenate(ends))


def _chunk_tokens(chunk: pa.Array, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    _, offsets, values = chunk.buffers()
    if values is None:
        return np.empty(0, dtype), np.empty(0, np.int64)
    bounds = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    ends = (bounds[1:] - bounds[0]).astype(np.int64) // dtype.itemsize
    return np.frombuffer(values, np.uint8)[bounds[0] : bounds[-1]].view(dtype), ends


def _files_in_stored_order(table: DeltaTable, known: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """(source, increment) by the path of every file that is not `known`, by these and least shuffle key: however
    many files hold an increment, its rows come in the same order.

    `UsageError` where a known file is gone, or an increment has grown: what has been trained on could no longer be
    told from what has not.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    paths = {unquote(path) for path in actions["path"].to_pylist()} if actions.num_rows else set()
    if gone := known.keys() - paths:
        raise UsageError(
            f"{table.table_uri}: version {table.version()} lacks {len(gone)} file(s) of the version before it in the "
            f"plan; "
            "a stage can join only a version to which rows were appended"
        )
    if actions.num_rows == 0:
        return {}
    if not {"min.shuffle_key", "max.shuffle_key"} <= set(actions.column_names) or actions["min.shuffle_key"].null_count:
        raise UsageError(
            f"{table.table_uri}: its log has no statistics of shuffle_key, so the order of its files is unknown; run "
            f"tokenize_corpus again"
        )
    columns = [
        actions[name].to_pylist()
        for name in ("partition.source", "partition.increment", "min.shuffle_key", "max.shuffle_key", "path")
    ]
    files = sorted(row for row in zip(*columns, strict=True) if unquote(row[4]) not in known)
    for (*part, _, last, path), (*next_part, first, _, next_path) in pairwise(files):
        if part == next_part and first < last:
            raise UsageError(
                f"{table.table_uri}: {path} and {next_path} overlap in shuffle_key, so neither order is the stored "
                f"one; run tokenize_corpus again"
            )
    found = {unquote(path): (source, increment) for source, increment, _, _, path in files}
    if grown := set(known.values()) & set(found.values()):
        source, increment = min(grown)
        raise UsageError(
            f"{table.table_uri}: version {table.version()} adds to increment {increment} of source {source}; what is "
            f"appended has to be a new one"
        )
    return found


def _tokenizer(lake: str, fingerprints: set[str], tokens: DeltaTable) -> Tokenizer:
    known = {row["fingerprint"]: row for row in small_table_rows(open_table(lake, TOKENIZERS))}
    if len(fingerprints) > 1:
        raise UsageError(
            f"{tokens.table_uri}: holds tokens of {len(fingerprints)} tokenizers; run tokenize_corpus again"
        )
    if not fingerprints:
        raise NothingToDo(f"{tokens.table_uri}: holds no tokens at version {tokens.version()}")
    fingerprint = fingerprints.pop()
    if fingerprint not in known:
        have = ", ".join(name[:12] for name in known) or "none"
        raise UsageError(
            f"{tokens.table_uri}: was made with tokenizer {fingerprint[:12]}, but `tokenizers` has {have}; run "
            f"tokenize_corpus again"
        )
    row = known[fingerprint]
    return Tokenizer(fingerprint, row["vocabulary_size"], row["end_of_document_id"], row["definition"])
