"""Permutations that are computed: hypothesis holds them to being permutations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.order.permutation import permute, round_keys, unpermute


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


def test_other_keys_give_another_order() -> None:
    orders = {tuple(permute(index, 50, round_keys(0, "web", epoch)) for index in range(50)) for epoch in range(20)}
    assert len(orders) == 20


def test_the_order_never_changes_between_versions() -> None:
    assert [permute(index, 10, round_keys(7, "web", 1)) for index in range(10)] == EXPECTED


EXPECTED = [2, 0, 5, 1, 7, 6, 3, 8, 9, 4]
