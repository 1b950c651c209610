"""Whose turn it is: proportions in every prefix, and places computed either way."""

from hypothesis import given
from hypothesis import strategies as st

from training.order.mixture import SHARES, Turns, counts_before, merged, shares

SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any)


def test_two_to_one_takes_turns_as_evenly_as_can_be() -> None:
    assert merged(0, 6, (4, 2)) == [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3)]


@given(SIZES)
def test_all_items_come_once_and_every_prefix_is_in_proportion(sizes: list[int]) -> None:
    turns = merged(0, sum(sizes), tuple(sizes))
    assert sorted(turns) == [(series, item) for series, size in enumerate(sizes) for item in range(size)]
    for length in range(len(turns) + 1):
        for series, size in enumerate(sizes):
            assert abs(sum(found == series for found, _ in turns[:length]) - length * size / len(turns)) <= len(sizes)


@given(SIZES, st.data())
def test_stretches_counts_and_places_agree_over_the_head_and_many_cycles(cycle: list[int], data: st.DataObject) -> None:
    # A series without a cycle gives nothing after the head.
    head = [data.draw(st.integers(0, 20)) for _ in cycle]
    turns = Turns(tuple(head), tuple(cycle))
    whole = turns.between(0, 150)
    first = data.draw(st.integers(0, 150))
    last = data.draw(st.integers(first, 150))
    assert turns.between(first, last) == whole[first:last]
    assert turns.counts(first) == tuple(
        sum(series == found for found, _ in whole[:first]) for series in range(len(cycle))
    )
    for place, (series, item) in enumerate(whole):
        if cycle[series] or item < head[series]:
            assert turns.place(series, item) == place


def test_turns_are_found_far_out_at_once() -> None:
    turns = Turns((0, 0), (3, 1))
    far = 10**13
    assert turns.between(far, far + 4) == [
        (0, 7500000000000),
        (0, 7500000000001),
        (1, 2500000000000),
        (0, 7500000000002),
    ]
    assert turns.place(1, 2500000000000) == far + 2


def test_thousands_of_series_take_their_turns() -> None:
    sizes = tuple(10**9 + 7919 * series for series in range(3000))
    far = sum(sizes) // 3
    counts = counts_before(far, sizes)
    assert sum(counts) == far
    assert all(abs(3 * count - size) <= 3 for count, size in zip(counts, sizes, strict=True))
    turns = merged(far, far + 3000, sizes)
    # About one of each, the next in its series.
    assert len({series for series, _ in turns}) > 2900
    assert all(item in (counts[series], counts[series] + 1) for series, item in turns)


def test_weights_become_shares_by_the_largest_remainder() -> None:
    assert shares((1.0, 1.0, 1.0)) == (333334, 333333, 333333)
    assert shares((0.3, 0.7, 0.0)) == (300000, 700000, 0)
    assert sum(shares((1e-12, 5.0))) in (SHARES, SHARES + 1)
