"""Batches in the background: the planned tokens, the same hash for every layout, errors in their turn, no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from schemas.errors import ContractError
from training.config import DataConfig
from training.delta_tokens import TokenTable, open_tokens
from training.loader import HASH_MASK, BatchReader, prefetch
from training.plan import Plan
from training.prepare import make_plan


@pytest.fixture(scope="module")
def table(lake: Path) -> TokenTable:
    return open_tokens(str(lake), None)


@pytest.fixture(scope="module")
def plan(table: TokenTable) -> Plan:
    return make_plan(DataConfig(sequence_length=64, shuffle_block=8), 8, table)


def test_a_batch_holds_inputs_and_targets_shifted_by_one(plan: Plan, table: TokenTable) -> None:
    batch = BatchReader(plan, table, rank=0, ranks=1, micro_sequences=4).read(0)
    assert batch.sequences.shape == (2, 4, 65)
    rows = batch.sequences.reshape(8, 65)
    assert np.array_equal(rows[:-1, -1], rows[1:, 0])


@pytest.mark.parametrize("ranks", [2, 4])
def test_slices_join_to_the_batch_of_one_rank_and_so_do_their_hashes(plan: Plan, table: TokenTable, ranks: int) -> None:
    last = plan.epoch_sequences // 8
    for index in (0, 3, last, last + 5):
        whole = BatchReader(plan, table, rank=0, ranks=1, micro_sequences=2).read(index)
        parts = [BatchReader(plan, table, rank=rank, ranks=ranks, micro_sequences=1).read(index) for rank in range(ranks)]
        assert np.array_equal(np.concatenate([part.sequences.reshape(-1, 65) for part in parts]), whole.sequences.reshape(-1, 65))
        assert sum(part.hash for part in parts) & HASH_MASK == whole.hash


def test_prefetching_changes_nothing_and_leaves_no_thread(plan: Plan, table: TokenTable) -> None:
    reader = BatchReader(plan, table, rank=0, ranks=1, micro_sequences=2)
    expected = [reader.read(index).hash for index in range(3, 9)]
    assert [batch.hash for batch in prefetch(reader, 3, 9, depth=2)] == expected
    batches = prefetch(reader, 0, 1000, depth=2)
    next(batches)
    batches.close()
    assert "read ahead" not in {thread.name for thread in threading.enumerate()}


def test_a_reading_error_comes_out_at_its_batch(
    tmp_path: Path,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows_of: Callable[..., list[dict[str, Any]]],
    texts_of: Callable[..., list[str]],
) -> None:
    rows = rows_of(tokenizer, texts_of(60))
    rows[-1]["n_tokens"] += 1
    table = open_tokens(str(new_lake(tmp_path / "lake", rows, tokenizer, rows_per_group=20)), None)
    plan = make_plan(DataConfig(sequence_length=64), 4, table)
    batches = prefetch(BatchReader(plan, table, rank=0, ranks=1, micro_sequences=4), 0, plan.epoch_sequences // 4, depth=1)
    assert next(batches).index == 0
    with pytest.raises(ContractError):
        list(batches)
