"""What is held out: the end of each source, never an input in training, each of its tokens predicted once, on
whatever ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.config import TrainingConfig
from training.evaluation.held_out import HeldOutReader, held_out_stretches
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import PartReader, TokenTable, open_tokens
from training.reading.loader import BatchReader

HELD_OUT = 700
EVERYTHING = 1 << 20


@pytest.fixture(scope="module")
def table(two_source_lake: Callable[..., Path]) -> TokenTable:
    return open_tokens(str(two_source_lake(30, 50, files=2, rows_per_group=10)), None)


@pytest.fixture(scope="module")
def plan(table: TokenTable) -> Plan:
    return make_plan(
        TrainingConfig.model_validate(
            {"data": {"sequence_length": 32, "held_out_tokens": HELD_OUT}, "batch": {"tokens": 128}}
        ),
        table,
    )


def reader(
    plan: Plan,
    table: TokenTable,
    tokens: int = EVERYTHING,
    rank: int = 0,
    ranks: int = 1,
    micro: tuple[int, int] = (1, 4),
    **options: Any,
) -> HeldOutReader:
    stretches = held_out_stretches(plan, table, tokens)
    sizes = {"micro_batches": micro[0], "micro_sequences": micro[1]}
    return HeldOutReader(
        plan, table, stretches, **{"length": 32, "document_mask": False} | options, rank=rank, ranks=ranks, **sizes
    )


def stored(table: TokenTable, source: str) -> np.ndarray:
    part = PartReader(table, source, 0)
    return part.read(0, part.tokens).astype(np.int64)


def targets(found: HeldOutReader, source: int) -> list[int]:
    batches = [found.read(index) for index in range(found.batches)]
    return [
        int(token) for batch in batches for token in batch.targets[batch.counted & (batch.sources == source)[..., None]]
    ]


def test_every_held_out_token_but_the_first_is_predicted_once(plan: Plan, table: TokenTable) -> None:
    for source, name in enumerate(plan.sources):
        assert targets(reader(plan, table), source) == stored(table, name)[-HELD_OUT + 1 :].tolist()


def test_no_held_out_token_is_an_input_in_training(plan: Plan, table: TokenTable) -> None:
    batches = [BatchReader(plan, table, rank=0, ranks=1).read(index) for index in range(80)]
    for source, name in enumerate(plan.sources):
        trained = np.concatenate([batch.tokens[batch.sources == source].ravel() for batch in batches])
        whole = stored(table, name)
        assert trained[: len(whole) - HELD_OUT].tolist() == whole[:-HELD_OUT].tolist()
        assert trained[len(whole) - HELD_OUT] == whole[0]


def test_a_limit_takes_the_first_tokens_of_each_source(plan: Plan, table: TokenTable) -> None:
    for source, name in enumerate(plan.sources):
        assert targets(reader(plan, table, tokens=100), source) == stored(table, name)[-HELD_OUT:][1:101].tolist()


@pytest.mark.parametrize(("ranks", "micro"), [(2, (1, 2)), (4, (2, 1)), (1, (3, 5))])
def test_sequences_have_their_number_on_whatever_rank(
    plan: Plan, table: TokenTable, ranks: int, micro: tuple[int, int]
) -> None:
    def by_row(readers: list[HeldOutReader]) -> dict[int, tuple[list[int], list[bool]]]:
        found = {}
        for batch in (one.read(index) for one in readers for index in range(one.batches)):
            rows = zip(batch.tokens.reshape(-1, 32), batch.counted.reshape(-1, 32), strict=True)
            found |= {
                batch.first_row + place: (tokens.tolist(), counted.tolist())
                for place, (tokens, counted) in enumerate(rows)
                if counted.any()
            }
        return found

    assert by_row([reader(plan, table, rank=rank, ranks=ranks, micro=micro) for rank in range(ranks)]) == by_row(
        [reader(plan, table)]
    )


def test_documents_are_kept_apart_where_training_keeps_them_apart(plan: Plan, table: TokenTable) -> None:
    end = table.tokenizer.end_of_document_id
    found = reader(plan, table, document_mask=True)
    for batch in (found.read(index) for index in range(found.batches)):
        assert batch.documents is not None
        assert not batch.counted[batch.tokens == end].any()
        for tokens, documents in zip(batch.tokens.reshape(-1, 32), batch.documents.reshape(-1, 32), strict=True):
            assert documents.tolist() == [int((tokens[:place] == end).sum()) for place in range(32)]


def test_nothing_is_evaluated_where_nothing_is_held_out(table: TokenTable) -> None:
    plan = make_plan(TrainingConfig.model_validate({"data": {"sequence_length": 32}, "batch": {"tokens": 128}}), table)
    assert held_out_stretches(plan, table, EVERYTHING) == ()
    assert reader(plan, table).batches == 0
