"""The greedy rule on numbers against a loop over pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.greedy import Candidate, Removal, settle


def candidates_of(*rows: tuple[int, int | None], similar: dict[int, list[tuple[int, float]]] | None = None):
    """Candidates from (text, page) in order of priority; the first document of a text says what it is similar to."""
    first: dict[int, int] = {}
    for position, (text, _) in enumerate(rows):
        first.setdefault(text, position)
    return [
        Candidate(position, text, page, tuple((similar or {}).get(text, ())) if first[text] == position else ())
        for position, (text, page) in enumerate(rows)
    ]


def test_no_chain_of_likenesses_removes_a_document():
    """b is similar to a, and c to b but not to a: b goes, c stays."""
    similar = {0: [(1, 0.8)], 1: [(0, 0.8), (2, 0.9)], 2: [(1, 0.9)]}
    assert list(settle(candidates_of((0, None), (1, None), (2, None), similar=similar), exact=True)) == [
        Removal(1, "near", 0, 0.8)
    ]


def test_every_kind_of_likeness_to_a_kept_document_is_named_with_the_first_one():
    similar = {0: [(3, 0.7)], 1: [(3, 0.95)], 3: [(0, 0.7), (1, 0.95)]}
    rows = ((0, 10), (1, 11), (3, 11), (0, 11))
    assert list(settle(candidates_of(*rows, similar=similar), exact=True)) == [
        Removal(2, "near", 0, 0.7),
        Removal(2, "url", 1, None),
        Removal(3, "exact", 0, 1.0),
        Removal(3, "url", 1, None),
    ]


def test_a_text_whose_first_document_goes_for_its_page_lives_on_in_its_next_document():
    rows = ((0, 10), (1, 10), (1, 11), (1, 12))
    assert list(settle(candidates_of(*rows), exact=True)) == [Removal(1, "url", 0, None), Removal(3, "exact", 2, 1.0)]


def test_equal_texts_may_stay():
    assert list(settle(candidates_of((0, None), (0, None)), exact=False)) == []


@given(
    st.lists(st.tuples(st.integers(0, 6), st.one_of(st.none(), st.integers(0, 4))), max_size=25),
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12),
    st.booleans(),
)
def test_a_document_is_removed_exactly_if_a_kept_one_before_it_is_alike(rows, pairs, exact):
    alike = {frozenset(pair) for pair in pairs if len(set(pair)) == 2}
    similar: dict[int, list[tuple[int, float]]] = {}
    for one, two in map(sorted, alike):
        similar.setdefault(one, []).append((two, 0.9))
        similar.setdefault(two, []).append((one, 0.9))
    kept: list[int] = []
    expected = set()
    for position, (text, page) in enumerate(rows):
        kinds = {}
        for other in kept:
            if exact and rows[other][0] == text:
                kinds.setdefault("exact", other)
            if frozenset((rows[other][0], text)) in alike:
                kinds.setdefault("near", other)
            if page is not None and rows[other][1] == page:
                kinds.setdefault("url", other)
        if kinds:
            expected |= {(position, kind, other) for kind, other in kinds.items()}
        else:
            kept.append(position)
    found = list(settle(candidates_of(*rows, similar=similar), exact=exact))
    assert {(one.position, one.kind, one.representative) for one in found} == expected
    assert {one.representative for one in found} <= set(kept)
