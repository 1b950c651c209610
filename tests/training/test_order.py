"""Permutations that are computed: hypothesis holds them to being permutations."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from training.order import permute, permute_in_blocks, round_keys, unpermute


@given(size=st.integers(1, 400), seed=st.integers(0, 1 << 60))
def test_every_index_is_hit_once(size: int, seed: int) -> None:
    keys = round_keys(seed)
    assert sorted(permute(index, size, keys) for index in range(size)) == list(range(size))


@given(size=st.integers(1, 1 << 50), seed=st.integers(0, 1000), data=st.data())
def test_unpermute_undoes_permute(size: int, seed: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    keys = round_keys(seed, "web", 3)
    image = permute(index, size, keys)
    assert 0 <= image < size
    assert unpermute(image, size, keys) == index


@given(size=st.integers(1, 300), block=st.integers(1, 320), seed=st.integers(0, 1000))
def test_blocks_are_shuffled_without_loss(size: int, block: int, seed: int) -> None:
    assert sorted(permute_in_blocks(index, size, block, seed) for index in range(size)) == list(range(size))


@given(size=st.integers(2, 300), block=st.integers(2, 40), seed=st.integers(0, 1000))
def test_a_block_is_left_only_when_it_is_read_to_its_end(size: int, block: int, seed: int) -> None:
    visited = [permute_in_blocks(index, size, block, seed) // block for index in range(size)]
    changes = sum(1 for before, after in itertools.pairwise(visited) if before != after)
    assert changes == -(-size // block) - 1


def test_other_keys_give_another_order() -> None:
    orders = {tuple(permute(index, 50, round_keys(0, "web", epoch)) for index in range(50)) for epoch in range(20)}
    assert len(orders) == 20


def test_the_order_never_changes_between_versions() -> None:
    assert [permute(index, 10, round_keys(7, "web", 1)) for index in range(10)] == EXPECTED
    assert [permute_in_blocks(index, 10, 4, 7, "web", 1) for index in range(10)] == EXPECTED_IN_BLOCKS


EXPECTED = [2, 0, 5, 1, 7, 6, 3, 8, 9, 4]
EXPECTED_IN_BLOCKS = [5, 7, 6, 4, 8, 9, 3, 2, 1, 0]
