"""What comes back word for word, counted by how often it was read; documents are found where they begin, and counted
reads are those of the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training.config import TrainingConfig
from training.evaluation.held_out import held_out_stretches
from training.evaluation.memorisation import (
    CONTINUATION,
    PROMPT,
    Memorised,
    Stretch,
    probe,
    tokens_given_back,
    trained_stretches,
    untrained_stretches,
)
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.order.skips import batch_of_step
from training.reading.delta_tokens import PartReader, TokenTable, open_tokens

LENGTH = PROMPT + CONTINUATION


@pytest.fixture(scope="module")
def table(two_source_lake: Callable[..., Path]) -> TokenTable:
    return open_tokens(str(two_source_lake(60, 60)), None)


@pytest.fixture(scope="module")
def plan(table: TokenTable) -> Plan:
    data = {"sequence_length": 64, "held_out_tokens": 1500, "shuffle_block": 640, "weights": {"books": 1, "web": 1}}
    return make_plan(TrainingConfig.model_validate({"data": data, "batch": {"tokens": 512}}), table)


def test_what_comes_back_ends_with_the_first_wrong_token() -> None:
    true = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    likeliest = np.array([[1, 2, 3, 4], [1, 9, 3, 4], [9, 2, 3, 4]])
    assert tokens_given_back(likeliest, true).tolist() == [4, 1, 0]


def test_shares_are_by_how_often_a_stretch_was_read() -> None:
    known = tuple(range(LENGTH))
    to_forty = (*range(PROMPT + 40), *[0] * (CONTINUATION - 40))
    stretches = [
        Stretch(known, 2),
        Stretch(to_forty, 2),
        Stretch(to_forty, 1),
        Stretch((*range(PROMPT), *[0] * CONTINUATION), None),
    ]
    found = probe(stretches, lambda tokens: tokens + 1, at_once=3)
    assert found == [
        Memorised(None, 1, 0.0, 0.0, 0.0),
        Memorised(1, 1, 1.0, 0.0, 40.0),
        Memorised(2, 2, 1.0, 0.5, 45.0),
    ]


@pytest.mark.parametrize(("steps", "skips"), [(3, ()), (17, ()), (40, ()), (40, ((5, 12),))])
def test_reads_are_those_of_the_batches(
    plan: Plan, table: TokenTable, steps: int, skips: tuple[tuple[int, int], ...]
) -> None:
    times = [np.zeros(table.part_tokens(part.source, part.number), np.int64) for part in plan.parts]
    readers = [PartReader(table, part.source, part.number) for part in plan.parts]
    for row in (row for step in range(steps) for row in plan.rows(batch_of_step(step, skips))):
        for start, end in plan.grid(row.stage, row.part).stored(
            row.sequence, row.sequence + 1, readers[row.part].document_ends
        ):
            times[row.part][start:end] += 1
    expected = {}
    for reader, read in zip(readers, times, strict=True):
        for start in [0, *reader.document_ends(0, reader.tokens - LENGTH)]:
            expected[tuple(reader.read(start, start + LENGTH).tolist())] = read[start : start + LENGTH].sum() // LENGTH
    found = list(trained_stretches(plan, table, steps=steps, skips=skips, most=10))
    assert len(found) >= 2
    assert [stretch.reads for stretch in found] == [expected[stretch.tokens] for stretch in found]


def test_after_whole_epochs_every_document_was_read_as_often(plan: Plan, table: TokenTable) -> None:
    # Both sources have equal weights; books are read through twice when as many of their tokens have been given.
    books = next(part for part in plan.parts if part.source == "books")
    steps = -(-2 * books.tokens // 256) + 1
    read = [stretch.reads for stretch in trained_stretches(plan, table, steps=steps, skips=(), most=8)]
    assert set(read) <= {1, 2, 3}
    assert 2 in read


def test_stretches_begin_where_documents_begin(plan: Plan, table: TokenTable) -> None:
    beginnings = set()
    for part in plan.parts:
        reader = PartReader(table, part.source, part.number)
        starts = [0, *reader.document_ends(0, reader.tokens)[:-1]]
        beginnings |= {
            tuple(reader.read(start, start + LENGTH).tolist()) for start in starts if start + LENGTH <= reader.tokens
        }
    end = table.tokenizer.end_of_document_id
    held_out = held_out_stretches(plan, table, 1 << 20)
    for found in (
        list(trained_stretches(plan, table, steps=20, skips=(), most=6)),
        list(untrained_stretches(plan, table, held_out, 6)),
    ):
        assert len(found) >= 4
        assert all(stretch.tokens in beginnings and end not in stretch.tokens for stretch in found)
    assert all(stretch.reads is None for stretch in untrained_stretches(plan, table, held_out, 6))
