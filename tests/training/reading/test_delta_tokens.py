"""Reading `tokens` without a JVM: the right order from any files, and refusals that say what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake
from tokenizers import Tokenizer

from schemas.plumbing.errors import ContractError, NothingToDo, UsageError
from schemas.tables.tokens import TOKENS
from training.reading.delta_tokens import PartReader, open_tokens

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rows(tokenizer: Tokenizer, rows_of: Callable[..., Rows], texts_of: Callable[..., list[str]]) -> Rows:
    return [*rows_of(tokenizer, texts_of(30, seed=5), "b & 100%"), *rows_of(tokenizer, texts_of(50, seed=6), "web")]


def stream(rows: Rows, source: str) -> np.ndarray:
    return np.concatenate([np.frombuffer(row["tokens"], "<u2") for row in rows if row["source"] == source])


@pytest.mark.parametrize(("files", "rows_per_group"), [(1, None), (4, 7), (9, 1)])
def test_the_order_does_not_depend_on_how_files_are_cut(
    tmp_path: Path,
    rows: Rows,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    files: int,
    rows_per_group: int | None,
) -> None:
    table = open_tokens(str(new_lake(tmp_path / "lake", rows, tokenizer, files, rows_per_group)), None)
    assert table.parts == {(table.version, name, 0): len(stream(rows, name)) for name in ("b & 100%", "web")}
    for source in ("b & 100%", "web"):
        expected = stream(rows, source)
        ends = np.cumsum([row["n_tokens"] for row in rows if row["source"] == source])
        reader = PartReader(table, source, 0)
        assert np.array_equal(reader.read(0, len(expected)), expected)
        assert reader.document_ends(0, len(expected)) == ends.tolist()
        for start in (0, 1, 333, len(expected) - 40):
            assert np.array_equal(reader.read(start, start + 40), expected[start : start + 40])
            assert reader.document_ends(start, start + 40) == [end - start for end in ends if start < end <= start + 40]


def test_documents_are_found_by_their_tokens(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    table = open_tokens(str(new_lake(tmp_path / "lake", rows, tokenizer, 3, 5)), None)
    web = [row for row in rows if row["source"] == "web"]
    ends = np.cumsum([row["n_tokens"] for row in web]).tolist()
    reader = PartReader(table, "web", 0)
    # The last token of the third document, and the first of the fourth.
    assert reader.documents(ends[2] - 1, ends[2] + 1) == [
        (web[2]["doc_id"], ends[1], ends[2]),
        (web[3]["doc_id"], ends[2], ends[3]),
    ]
    assert [doc_id for doc_id, _, _ in reader.documents(0, ends[-1])] == [row["doc_id"] for row in web]


def test_a_later_version_adds_a_part_and_must_keep_all_files(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    web = [row for row in rows if row["source"] == "web"]
    lake = new_lake(tmp_path / "lake", web[:30:2], tokenizer)
    more = pa.Table.from_pylist([row | {"increment": 1} for row in web[1:30:2]], schema=TOKENS.arrow())
    write_deltalake(str(lake / "tokens"), more, mode="append", partition_by=TOKENS.partition_by)
    first, second = (sum(row["n_tokens"] for row in web[start:30:2]) for start in (0, 1))
    table = open_tokens(str(lake), 0, (1,))
    assert table.parts == {(0, "web", 0): first, (1, "web", 1): second}
    assert np.array_equal(PartReader(table, "web", 1).read(0, 50), stream(web[1:30:2], "web")[:50])
    # Without a former version in the plan both are there from the start.
    assert open_tokens(str(lake), None).parts == {(1, "web", 0): first, (1, "web", 1): second}
    write_deltalake(str(lake / "tokens"), more, mode="append", partition_by=TOKENS.partition_by)
    with pytest.raises(
        UsageError, match=r"version 2 adds to increment 1 of source web; what is appended has to be a new one"
    ):
        open_tokens(str(lake), 0, (1, 2))
    write_deltalake(str(lake / "tokens"), more, mode="overwrite")
    with pytest.raises(UsageError, match=r"version 3 lacks 2 file\(s\) of the version before it in the plan"):
        open_tokens(str(lake), 0, (1, 3))
    with pytest.raises(UsageError, match="tokens_version must ascend from version 1, not 0"):
        open_tokens(str(lake), 1, (0,))


def test_a_pinned_version_does_not_see_later_rows(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    lake = str(new_lake(tmp_path / "lake", rows, tokenizer, files=3))
    assert open_tokens(lake, 0).tokens < open_tokens(lake, 1).tokens < open_tokens(lake, None).tokens
    assert open_tokens(lake, None).version == 2
    with pytest.raises(UsageError, match="cannot be opened at version 9"):
        open_tokens(lake, 9)


def test_a_missing_lake_or_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: there is no lake here"):
        open_tokens(str(tmp_path / "nowhere"), None)
    with pytest.raises(UsageError, match="the lake has no table `tokens`"):
        open_tokens(str(tmp_path), None)


def test_a_tokenizer_that_did_not_make_the_tokens_is_refused(
    tmp_path: Path,
    rows: Rows,
    new_lake: Callable[..., Path],
    tokenizer_of: Callable[..., Tokenizer],
    texts_of: Callable[..., list[str]],
) -> None:
    other = tokenizer_of(texts_of(20, seed=9), 300)
    lake = new_lake(tmp_path / "lake", rows, other)
    with pytest.raises(UsageError, match=f"was made with tokenizer {rows[0]['tokenizer'][:12]}, but `tokenizers` has"):
        open_tokens(str(lake), None)


def test_tokens_of_two_tokenizers_are_refused(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    mixed = [*rows[:-1], {**rows[-1], "tokenizer": "0" * 64}]
    with pytest.raises(UsageError, match="holds tokens of 2 tokenizers"):
        open_tokens(str(new_lake(tmp_path / "lake", mixed, tokenizer)), None)


def test_an_empty_table_is_nothing_to_do(tmp_path: Path, tokenizer: Tokenizer, new_lake: Callable[..., Path]) -> None:
    with pytest.raises(NothingToDo, match="holds no tokens"):
        open_tokens(str(new_lake(tmp_path / "lake", [], tokenizer)), None)


def test_deletion_vectors_are_refused_with_the_remedy(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    lake = new_lake(tmp_path / "lake", rows, tokenizer)
    DeltaTable(str(lake / "tokens")).alter.add_feature(
        TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )
    with pytest.raises(
        UsageError, match=r"uses deletionVectors, which the trainer cannot honour; run REORG TABLE .* APPLY \(PURGE\)"
    ):
        open_tokens(str(lake), None)


def test_files_that_overlap_in_the_order_are_refused(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    lake = new_lake(tmp_path / "lake", rows[::2], tokenizer)
    write_deltalake(str(lake / "tokens"), pa.Table.from_pylist(rows[1::2], schema=TOKENS.arrow()), mode="append")
    with pytest.raises(UsageError, match="overlap in shuffle_key"):
        open_tokens(str(lake), None)


def test_another_schema_is_refused(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    lake = new_lake(tmp_path / "lake", rows, tokenizer)
    shutil.rmtree(lake / "tokens")
    write_deltalake(str(lake / "tokens"), pa.table({"doc_id": ["a"], "n_tokens": pa.array([1], pa.int64())}))
    with pytest.raises(
        UsageError,
        match="does not fit the contract of `tokens` in increment, n_tokens, shuffle_key, source, text_hash, "
        "tokenizer, tokens",
    ):
        open_tokens(str(lake), None)


def test_counts_that_do_not_fit_the_tokens_break_the_contract(
    tmp_path: Path, rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path]
) -> None:
    wrong = [{**rows[0], "n_tokens": rows[0]["n_tokens"] + 1}, *rows[1:]]
    table = open_tokens(str(new_lake(tmp_path / "lake", wrong, tokenizer)), None)
    with pytest.raises(ContractError, match="where n_tokens says otherwise"):
        PartReader(table, rows[0]["source"], 0).read(0, 5)
