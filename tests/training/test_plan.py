"""The order of samples: a pure function, a bijection in every epoch, the same however ranks share it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.plan import Plan, Sample, Source, interleave

PLAN = Plan(tokens_version=3, sources=(Source("books", 61), Source("web", 205)), sequence_length=4, batch_sequences=8, shuffle_block=10, seed=1)


@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4).map(tuple))
def test_interleaving_takes_every_item_once_and_in_order(sizes: tuple[int, ...]) -> None:
    taken = [interleave(place, sizes) for place in range(sum(sizes))]
    assert sorted(taken) == [(series, item) for series, size in enumerate(sizes) for item in range(size)]
    for series, size in enumerate(sizes):
        assert [item for other, item in taken if other == series] == list(range(size))


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4).map(tuple), data=st.data())
def test_every_prefix_holds_the_sources_in_proportion(sizes: tuple[int, ...], data: st.DataObject) -> None:
    length = data.draw(st.integers(0, sum(sizes)))
    taken = Counter(interleave(place, sizes)[0] for place in range(length))
    for series, size in enumerate(sizes):
        assert abs(taken[series] - length * size / sum(sizes)) <= len(sizes)


def test_the_first_epoch_is_the_stored_order() -> None:
    one = replace(PLAN, sources=(Source("web", 41),))
    assert [one.sample(position) for position in range(10)] == [Sample("web", index, 0) for index in range(10)]


def test_every_epoch_sees_every_sequence_once_and_in_another_order() -> None:
    size = PLAN.epoch_sequences
    epochs = [[PLAN.sample(epoch * size + place) for place in range(size)] for epoch in range(3)]
    assert size == 15 + 51
    for number, epoch in enumerate(epochs):
        assert {sample.epoch for sample in epoch} == {number}
        assert sorted((sample.source, sample.index) for sample in epoch) == [("books", k) for k in range(15)] + [("web", k) for k in range(51)]
    assert len({tuple((sample.source, sample.index) for sample in epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_ranks_share_a_batch_without_overlap(ranks: int) -> None:
    whole = list(PLAN.batch(11))
    assert [sample for rank in range(ranks) for sample in PLAN.batch(11, rank, ranks)] == whole


def test_the_last_token_of_a_source_is_a_target_only() -> None:
    assert replace(PLAN, sources=(Source("web", 8),)).sequences == (1,)
    assert replace(PLAN, sources=(Source("web", 9),)).sequences == (2,)
    assert replace(PLAN, sources=(Source("web", 0),)).sequences == (0,)


def test_the_hash_names_the_plan() -> None:
    assert PLAN.hash() == replace(PLAN).hash()
    assert PLAN.hash() != replace(PLAN, seed=2).hash()
