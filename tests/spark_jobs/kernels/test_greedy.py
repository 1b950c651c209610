"""The greedy rule on random likenesses, against the definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.greedy import Undecided, settle


def document(position: int, *waits_for: int, outdone: bool = False, compared: bool = True) -> Undecided:
    return Undecided(position, outdone, compared, list(waits_for))


def test_the_end_of_a_chain_is_kept_because_its_likeness_is_gone():
    assert list(settle([document(1), document(2, 1), document(3, 2)])) == [(1, True), (2, False), (3, True)]


def test_a_document_that_was_not_compared_with_all_is_left_open_and_so_are_those_that_wait_for_it():
    assert list(settle([document(1, compared=False), document(2, 1), document(3)])) == [(3, True)]


def test_one_kept_likeness_is_enough_even_if_more_may_be_found():
    assert list(settle([document(1), document(2, 1, compared=False), document(3, outdone=True, compared=False)])) == [
        (1, True),
        (2, False),
        (3, False),
    ]


@given(
    st.integers(1, 25).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60))
    )
)
def test_all_are_decided_as_one_process_would_decide_them_and_prefixes_agree(graph):
    count, pairs = graph
    before = {later: [earlier for earlier in range(later) if (earlier, later) in pairs] for later in range(count)}
    kept: set[int] = set()
    for position in range(count):
        if kept.isdisjoint(before[position]):
            kept.add(position)
    documents = [document(position, *before[position]) for position in range(count)]
    assert dict(settle(documents)) == {position: position in kept for position in range(count)}
    for length in range(count):
        assert dict(settle(documents[:length])) == {position: position in kept for position in range(length)}
