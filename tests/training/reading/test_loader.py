"""Batches in the background: the planned tokens, the same hash for every layout, errors in their turn, no thread
left behind."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from schemas.plumbing.errors import ContractError
from training.config import BatchConfig, DataConfig, StageConfig, TrainingConfig
from training.order.grid import _arrange
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import PartReader, TokenTable, open_tokens
from training.reading.loader import HASH_MASK, BatchReader, prefetch

LATER = {
    "more sources of weight": StageConfig(from_step=9, weights={"web": 1.0}),
    "longer sequences": StageConfig(from_step=9, sequence_length=128),
    "packing": StageConfig(from_step=9, packing="best_fit", batch_tokens=1024),
}


@pytest.fixture(scope="module")
def table(lake: Path) -> TokenTable:
    return open_tokens(str(lake), None)


def plan_of(table: TokenTable, *stages: StageConfig, **data: Any) -> Plan:
    """Batches of 8 sequences of 64; the lake's 20,000 tokens are about 39 batches."""
    settings = DataConfig(sequence_length=64, shuffle_block=512, window_sequences=6, **data)
    return make_plan(
        TrainingConfig(data=settings, batch=BatchConfig(tokens=512, micro_sequences=1), stages=stages), table
    )


@pytest.fixture(scope="module")
def plans(table: TokenTable) -> dict[str, Plan]:
    plans = {name: plan_of(table, stage) for name, stage in LATER.items()}
    return {
        **plans,
        "masked best fit": plan_of(table, packing="best_fit", document_mask=True),
        "masked": plan_of(table, document_mask=True),
    }


def test_a_batch_holds_tokens_and_what_follows_each(table: TokenTable) -> None:
    batch = BatchReader(plan_of(table), table, rank=0, ranks=1).read(0)
    stored = PartReader(table, "web", 0).read(0, 513)
    assert batch.tokens.shape == batch.targets.shape == batch.counted.shape == (8, 1, 64)
    assert np.array_equal(batch.tokens.ravel(), stored[:-1])
    assert np.array_equal(batch.targets.ravel(), stored[1:])
    assert batch.counted.all()
    assert batch.documents is None
    assert batch.sources.tolist() == [[0]] * 8
    assert batch.squared_lengths == 8 * 64**2


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("name", [*LATER, "masked best fit", "masked"])
def test_slices_join_to_the_batch_of_one_rank_and_so_do_their_hashes(
    plans: dict[str, Plan], table: TokenTable, ranks: int, name: str
) -> None:
    for index in (0, 3, 9, 39, 44):
        whole = BatchReader(plans[name], table, rank=0, ranks=1).read(index)
        parts = [BatchReader(plans[name], table, rank=rank, ranks=ranks).read(index) for rank in range(ranks)]
        for field in ("tokens", "targets", "counted", "sources"):
            assert np.array_equal(np.concatenate([getattr(part, field) for part in parts]), getattr(whole, field)), (
                field
            )
        assert sum(part.hash for part in parts) & HASH_MASK == whole.hash
        assert [part.first_row for part in parts] == [rank * len(parts[0].tokens) for rank in range(ranks)]


@pytest.mark.parametrize("name", [*LATER, "masked best fit"])
def test_hashes_are_the_same_for_every_layout_micro_batch_and_number_of_workers(
    plans: dict[str, Plan], table: TokenTable, name: str
) -> None:
    wanted = range(5, 13)
    expected = [batch.hash for batch in prefetch(BatchReader(plans[name], table, rank=0, ranks=1), wanted, 2, 0)]
    assert len(set(expected)) == len(wanted)
    for ranks, micro_sequences, workers in itertools.product((1, 2, 4), (1, 2, 4), (0, 1, 2)):
        if min(stage.batch_sequences for stage in plans[name].stages) % (ranks * micro_sequences):
            continue
        stages = tuple(replace(stage, micro_sequences=micro_sequences) for stage in plans[name].stages)
        plan = replace(plans[name], stages=stages)
        slices = [
            prefetch(BatchReader(plan, table, rank=rank, ranks=ranks), wanted, 2, workers) for rank in range(ranks)
        ]
        assert [sum(batch.hash for batch in parts) & HASH_MASK for parts in zip(*slices, strict=True)] == expected


def test_documents_are_numbered_in_each_sequence_and_their_last_tokens_predict_nothing(table: TokenTable) -> None:
    end = table.tokenizer.end_of_document_id
    plan = plan_of(table, document_mask=True)
    batch = BatchReader(plan, table, rank=0, ranks=1).read(0)
    tokens, documents = batch.tokens.reshape(8, 64), batch.documents.reshape(8, 64)
    assert np.array_equal(batch.counted.reshape(8, 64), tokens != end)
    expected = np.cumsum(np.concatenate([np.zeros((8, 1), int), tokens[:, :-1] == end], axis=1), axis=1)
    assert np.array_equal(documents, expected)
    lengths = [np.unique(row, return_counts=True)[1] for row in documents]
    assert batch.squared_lengths == sum(int(np.sum(row**2)) for row in lengths)


def test_best_fit_reads_every_token_of_an_epoch_once_and_cuts_fewer_documents(table: TokenTable) -> None:
    # A window of best fit begins with the epoch: 6 sequences of 64 are 384 tokens, of which the table has 50 windows
    # and more.
    packed = plan_of(table, packing="best_fit", document_mask=True)
    chopped = plan_of(table, document_mask=True)
    reader = PartReader(table, "web", 0)
    batches = 36
    found = [BatchReader(packed, table, rank=0, ranks=1).read(index) for index in range(batches)]
    plain = [BatchReader(chopped, table, rank=0, ranks=1).read(index) for index in range(batches)]
    stored = reader.read(0, batches * 512)
    assert np.array_equal(np.bincount(np.concatenate([batch.tokens.ravel() for batch in found])), np.bincount(stored))
    # The first token of a sequence of whole documents follows an end.
    whole = set(reader.read(0, 20000)[np.array([0, *reader.document_ends(0, 19000)])].tolist())
    begins = [sum(token in whole for batch in kind for token in batch.tokens[:, 0, 0]) for kind in (found, plain)]
    assert begins[0] > begins[1]


def test_a_window_is_packed_once_however_many_batches_read_it(table: TokenTable) -> None:
    reader = BatchReader(plan_of(table, packing="best_fit"), table, rank=0, ranks=1)
    _arrange.cache_clear()
    for index in range(9):
        reader.read(index)
    # 9 batches of 8 sequences are 12 windows of 6: nothing asked a second time, whatever the cache behind would have
    # held.
    assert (_arrange.cache_info().misses, _arrange.cache_info().hits) == (12, 0)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_prefetching_changes_nothing_and_leaves_no_thread(table: TokenTable, workers: int) -> None:
    reader = BatchReader(plan_of(table), table, rank=0, ranks=1)
    wanted = [3, 4, 5, 9, 10, 7]
    expected = [reader.read(index).hash for index in wanted]
    assert [batch.hash for batch in prefetch(reader, wanted, 4, workers)] == expected
    batches = prefetch(reader, range(1000), 2, workers)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader ")]


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
    batches = prefetch(BatchReader(plan_of(table), table, rank=0, ranks=1), range(table.tokens // 512), 2, 2)
    assert next(batches).index == 0
    with pytest.raises(ContractError):
        list(batches)


def test_held_out_tokens_are_never_read(table: TokenTable) -> None:
    plan = plan_of(table, held_out_tokens=5000)
    assert plan.parts[0].tokens == table.tokens - 5000
    reader = BatchReader(plan, table, rank=0, ranks=1)
    trained = np.concatenate([reader.read(index).tokens.ravel() for index in range(60)])
    kept = PartReader(table, "web", 0).read(0, table.tokens - 5000)
    assert set(np.flatnonzero(np.bincount(trained))) == set(np.flatnonzero(np.bincount(kept)))
    assert len(trained) > len(kept)
