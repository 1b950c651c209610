"""Withdrawn documents are in no batch, nothing is learned where they were, and everything else stays as it was."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tokenizers import Tokenizer

from schemas.plumbing.errors import UsageError
from schemas.tables.tokens import TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from training.config import BatchConfig, DataConfig, ObjectiveConfig, StageConfig, TrainingConfig
from training.evaluation.held_out import HeldOutReader, held_out_stretches
from training.exchange.export_megatron import export_megatron
from training.lake_tables import append_rows
from training.objectives.fill_in_the_middle import Sentinels, fill_in_the_middle
from training.objectives.masked import hide_tokens
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.reading.batch import Batch
from training.reading.delta_tokens import TokenTable, open_tokens
from training.reading.loader import HASH_MASK, BatchReader, Objective, prefetch
from training.reading.pick_ups import known_at, picked_up
from training.reading.withdrawn import NOTHING, read_withdrawn

Rows = list[dict[str, Any]]

SECRET = range(300, 320)
"""Ids that only the document to be withdrawn holds."""
BATCHES = range(0, 70)
"""One epoch and most of the next, in which the order is another one."""
PLANS: dict[str, tuple[StageConfig, ...] | dict[str, Any]] = {
    "end to end, then the next increment": (StageConfig(from_step=15, tokens_version=1),),
    "packed later": (StageConfig(from_step=9, packing="best_fit", batch_tokens=1024),),
    "packed and masked": {"packing": "best_fit", "document_mask": True},
    "masked": {"document_mask": True},
}


def withdrawal(row: dict[str, Any], number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "doc_id": row["doc_id"],
        "source": row["source"],
        "increment": 0,
        "withdrawal": number,
        "tokens_version": 0,
        "n_tokens": row["n_tokens"],
        "reason": "left",
        "replaced_by": None,
        **changes,
    }


@pytest.fixture(scope="module")
def rows(tokenizer: Tokenizer, rows_of: Callable[..., Rows], texts_of: Callable[..., list[str]]) -> Rows:
    """Documents in stored order, of which the twenty-first has ids of its own; each id of the others is below 300."""
    rows = rows_of(tokenizer, texts_of(150, seed=11))
    end = tokenizer.token_to_id("<|endoftext|>")
    for number, row in enumerate(rows):
        ids = np.frombuffer(row["tokens"], "<u2") % SECRET[0]
        ids = np.where(ids == end, end + 2, ids)
        if number == 20:
            ids = np.resize(np.array(SECRET, "<u2"), 150)
        ids[-1] = end
        row |= {"tokens": ids.astype("<u2").tobytes(), "n_tokens": len(ids)}
    return rows


@pytest.fixture(scope="module")
def gone(rows: Rows) -> dict[str, Any]:
    return rows[20]


@pytest.fixture(scope="module")
def moved(rows: Rows) -> dict[str, Any]:
    return rows[110]


@pytest.fixture(scope="module")
def table(
    tmp_path_factory: pytest.TempPathFactory,
    rows: Rows,
    gone: dict[str, Any],
    moved: dict[str, Any],
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
) -> TokenTable:
    """Version 0 holds all documents, version 1 also what was appended; the first withdrawal is that of a document
    that left, the second that of one that moved to the increment of version 1."""
    lake = new_lake(tmp_path_factory.mktemp("withdrawn") / "lake", rows, tokenizer, rows_per_group=16)
    more = [row | {"increment": 1} for row in rows[30:90]] + [moved | {"increment": 1}]
    more.sort(key=lambda row: row["shuffle_key"])
    write_deltalake(
        str(lake / "tokens"),
        pa.Table.from_pylist(more, schema=TOKENS.arrow()),
        mode="append",
        partition_by=TOKENS.partition_by,
    )
    append_rows(str(lake), WITHDRAWN, [withdrawal(gone)])
    append_rows(str(lake), WITHDRAWN, [withdrawal(moved, 1, reason="reweighted", replaced_by=1)])
    return open_tokens(str(lake), 0, (1,))


@pytest.fixture(scope="module")
def plain(table: TokenTable) -> TokenTable:
    return replace(table, withdrawn=NOTHING)


@pytest.fixture(scope="module", params=PLANS)
def plan(request: pytest.FixtureRequest, table: TokenTable) -> Plan:
    asked = PLANS[request.param]
    data = asked if isinstance(asked, dict) else {}
    settings = DataConfig(sequence_length=64, shuffle_block=512, window_sequences=6, **data)
    stages = asked if isinstance(asked, tuple) else ()
    batch = BatchConfig(tokens=512, micro_sequences=1)
    return make_plan(TrainingConfig(data=settings, batch=batch, stages=stages), table)


def out_of(plan: Plan, table: TokenTable, rows: Rows, doc_ids: set[str], index: int) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens and which targets of a batch are of these documents in increment 0, worked out token by token."""
    owners = [row["doc_id"] for row in rows for _ in range(row["n_tokens"])]
    reader = BatchReader(plan, table, rank=0, ranks=1)
    found = []
    for row in plan.rows(index):
        spans = plan.grid(row.stage, row.part).stored(
            row.sequence, row.sequence + 1, reader.part(row.part).document_ends
        )
        places = [place for start, end in spans for place in range(start, end)]
        first = plan.parts[row.part].number == 0
        found.append([[first and owners[place + after] in doc_ids for place in places] for after in (0, 1)])
    both = np.array(found)
    return both[:, 0], both[:, 1]


def flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1])


def read(plan: Plan, table: TokenTable, index: int, objective: Objective | None = None) -> Batch:
    asked = {} if objective is None else {"objective": objective}
    return BatchReader(plan, table, rank=0, ranks=1, **asked).read(index)


def test_what_is_withdrawn_is_hidden_and_all_else_stays(
    plan: Plan, table: TokenTable, plain: TokenTable, rows: Rows, gone: dict[str, Any], moved: dict[str, Any]
) -> None:
    end, touched, moves = table.tokenizer.end_of_document_id, 0, 0
    for index in BATCHES:
        # The copy of what has moved is the valid one until the stage reads the increment that it moved to.
        has_moved = {moved["doc_id"]} if plan.stage_of(index).tokens_version == 1 else set()
        out, target_out = out_of(plan, table, rows, {gone["doc_id"], *has_moved}, index)
        moves += out_of(plan, table, rows, has_moved, index)[0].sum()
        before, after = read(plan, plain, index), read(plan, table, index)
        assert np.array_equal(flat(after.tokens), np.where(out, end, flat(before.tokens)))
        assert np.array_equal(flat(after.targets), np.where(out | target_out, end, flat(before.targets)))
        assert np.array_equal(flat(after.counted), flat(before.counted) & ~out & ~target_out)
        assert (after.documents is None) == (before.documents is None)
        assert after.documents is None or np.array_equal(after.documents, before.documents)
        assert np.array_equal(after.sources, before.sources)
        assert after.withdrawn is None
        assert not np.isin(after.tokens, SECRET).any() and not np.isin(after.targets, SECRET).any()
        is_touched = bool(out.any() or target_out.any())
        assert (after.hash == before.hash) != is_touched
        touched += is_touched
    assert 1 < touched < len(BATCHES) / 2
    assert (moves > 0) == (len(table.versions) == len({stage.tokens_version for stage in plan.stages}))


def test_the_hash_is_that_of_every_layout_and_number_of_workers(plan: Plan, table: TokenTable) -> None:
    expected = [read(plan, table, index).hash for index in BATCHES]
    for ranks, workers in itertools.product((1, 2, 4), (0, 2)):
        slices = [
            prefetch(BatchReader(plan, table, rank=rank, ranks=ranks), BATCHES, 2, workers) for rank in range(ranks)
        ]
        assert [sum(batch.hash for batch in parts) & HASH_MASK for parts in zip(*slices, strict=True)] == expected


SENTINELS = Sentinels(prefix=401, middle=402, suffix=403)
MASKED, TURNED = ObjectiveConfig().masked, ObjectiveConfig().fill_in_the_middle.model_copy(update={"rate": 0.9})
OBJECTIVES: dict[str, Objective] = {
    "fill in the middle": lambda batch: fill_in_the_middle(batch, TURNED, SENTINELS, end_of_document_id=0, seed=3),
    "masked": lambda batch: hide_tokens(batch, MASKED, 401, np.arange(2, 320), seed=3),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_makes_of_all_else_what_it_made_before(
    plan: Plan, table: TokenTable, plain: TokenTable, rows: Rows, gone: dict[str, Any], name: str
) -> None:
    assert table.tokenizer.end_of_document_id == 0
    only_gone = replace(table, withdrawn=table.withdrawn.first(1))
    for index in BATCHES:
        out, target_out = out_of(plan, table, rows, {gone["doc_id"]}, index)
        before, after = (read(plan, found, index, OBJECTIVES[name]) for found in (plain, only_gone))
        assert np.array_equal(flat(after.tokens), np.where(out, 0, flat(before.tokens)))
        assert np.array_equal(flat(after.counted), flat(before.counted) & ~out & ~target_out)
        kept = flat(after.counted)
        assert np.array_equal(flat(after.targets)[kept], flat(before.targets)[kept])
        assert not np.isin(flat(after.targets), SECRET).any()
        if name == "fill in the middle":
            assert not np.isin(flat(after.tokens), SECRET).any()


def test_pieces_that_look_like_one_document_are_not_mixed_where_one_is_withdrawn() -> None:
    # The withdrawn document is cut after 8, and by chance the next piece begins with what would have followed.
    tokens = np.array([[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0]]])
    out = np.arange(16)[None, None] < 8
    batch = Batch(
        0,
        0,
        tokens,
        np.append(tokens[..., 1:], [[[1]]], -1),
        np.ones(tokens.shape, bool),
        None,
        np.zeros((1, 1), np.int64),
        hash=1,
        withdrawn=np.stack([out, np.roll(out, -1)]),
    )
    found = fill_in_the_middle(batch, TURNED.model_copy(update={"rate": 1.0}), SENTINELS, end_of_document_id=0, seed=0)
    assert np.array_equal(found.tokens, tokens)


def test_held_out_documents_that_are_withdrawn_are_not_measured(
    table: TokenTable, rows: Rows, gone: dict[str, Any]
) -> None:
    settings = DataConfig(sequence_length=64, held_out_tokens=table.part_tokens("web", 0) - 1000)
    plan = make_plan(TrainingConfig(data=settings, batch=BatchConfig(tokens=512)), table)
    form = {"length": 64, "rank": 0, "ranks": 1, "micro_batches": 1, "micro_sequences": 400}
    batches = {}
    for masks in (False, True):
        for name, known in (("before", 0), ("after", 1)):
            found = replace(table, withdrawn=table.withdrawn.first(known))
            stretches = held_out_stretches(plan, found, 1 << 40)
            batches[name] = HeldOutReader(plan, found, stretches, document_mask=masks, **form).read(0)
        before, after = batches["before"], batches["after"]
        secret = np.isin(before.tokens, SECRET)
        assert secret.sum() == gone["n_tokens"] - 1
        lost = before.counted & ~after.counted
        # Its tokens, its end, and the end before it, of which it was the target.
        assert lost.sum() == gone["n_tokens"] + (0 if masks else 1) - (1 if masks else 0)
        assert not lost[before.counted & ~secret & (before.tokens != 0)].any()
        assert not np.isin(after.tokens, SECRET).any() and not np.isin(after.targets, SECRET).any()
        kept = ~secret
        assert np.array_equal(after.tokens[kept], before.tokens[kept])
        if masks:
            assert np.array_equal(after.documents, before.documents)


def test_an_export_leaves_withdrawn_documents_out(
    table: TokenTable, rows: Rows, gone: dict[str, Any], moved: dict[str, Any], tmp_path: Path
) -> None:
    lake = table.uri.removeprefix("file://").rstrip("/").removesuffix("/tokens")
    (exported,) = export_megatron(lake, tmp_path, 0)
    # Without the increment that it moved to, what has moved is where it was.
    assert exported.documents == len(rows) - 1
    ids = np.fromfile(tmp_path / "web.bin", "<u2")
    assert len(ids) == exported.tokens == sum(row["n_tokens"] for row in rows) - gone["n_tokens"]
    assert not np.isin(ids, SECRET).any()
    (whole,) = export_megatron(lake, tmp_path, 1)
    assert whole.tokens == table.tokens - gone["n_tokens"] - moved["n_tokens"]


def test_the_withdrawals_that_were_known_once_can_be_told_later(table: TokenTable) -> None:
    assert table.withdrawn.count == 2
    assert [len(table.withdrawn.first(count).doc_ids) for count in (0, 1, 2)] == [0, 1, 2]
    with pytest.raises(UsageError, match="has 2 withdrawals, and 3 were known when it was read before"):
        table.withdrawn.first(3)


def test_a_copy_that_comes_after_the_withdrawal_is_read_again(table: TokenTable, gone: dict[str, Any]) -> None:
    read_increments = frozenset({0, 1})
    assert table.withdrawn.are_out([gone["doc_id"], "another"], 0, read_increments).tolist() == [True, False]
    assert table.withdrawn.are_out([gone["doc_id"], "another"], 1, read_increments).tolist() == [False, False]


def test_a_lake_without_the_table_has_nothing_withdrawn(tmp_path: Path) -> None:
    assert read_withdrawn(str(tmp_path)).count == 0


def test_pick_ups_say_what_was_known_at_each_batch() -> None:
    found = picked_up(picked_up((), 0, 0), 12, 2)
    assert found == ((12, 2),)
    assert [known_at(found, batch) for batch in (0, 11, 12, 99)] == [0, 0, 2, 2]
    # Gone back to batch 5 with what is known now, and on from there.
    assert picked_up(found, 5, 2) == ((5, 2),)
    assert picked_up(((12, 2),), 20, 2) == ((12, 2),)
    assert picked_up(((12, 2),), 20, 4) == ((12, 2), (20, 4))
