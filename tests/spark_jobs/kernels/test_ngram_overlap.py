"""Overlaps with evaluation sets, against sets of tuples of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.shingles import comparable_words
from spark_jobs.kernels.evaluation.evaluation_sets import Item
from spark_jobs.kernels.evaluation.ngram_overlap import Overlap, SetSize, build_index, ngram_hashes, overlaps

QUESTION = "Which of the three rivers that meet at the old mill is said to be the longest one?"
WORDS = st.lists(st.sampled_from(["ab", "cd", "ef"]), max_size=12).map(" ".join)


def grams(text: str, n: int) -> set[tuple[bytes, ...]]:
    words = comparable_words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def test_a_document_with_a_whole_item_in_other_spelling_holds_all_of_it():
    index, sizes = build_index({"rivers": [Item("q1", "The sea is far from here."), Item("q2", QUESTION)]}, 13)
    page = f"Home\n{QUESTION.upper().replace(' ', '  ').replace('?', ' !')} Next page, please."
    assert overlaps(index, page) == [Overlap("rivers", 6, 6 / len(grams(page, 13)), 1, 1.0, "q2")]
    assert sizes == {"rivers": SetSize(items=2, short_items=1, ignored_items=1, ngrams=6)}


def test_a_document_with_one_word_less_than_an_n_gram_holds_nothing():
    index, _ = build_index({"rivers": [Item("q", QUESTION)]}, 13)
    assert overlaps(index, " ".join(QUESTION.split()[:12])) == []
    assert [overlap.ngrams for overlap in overlaps(index, " ".join(QUESTION.split()[:13]))] == [1]


def test_short_items_are_found_only_where_they_are_asked_for_and_whole():
    items = {"s": [Item("short", "to be or not to be that is it"), Item("tiny", "to be or not")]}
    assert build_index(items, 13)[1]["s"] == SetSize(2, 2, 2, 0)
    index, sizes = build_index(items, 13, shortest_whole=8)
    assert sizes["s"] == SetSize(2, 2, 1, 1)
    assert overlaps(index, "Hamlet: To be, or not to be: that is it!") == [Overlap("s", 1, 0.0, 1, 1.0, "short")]
    assert overlaps(index, "To be or not to be that is") == []


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=3), WORDS, st.integers(2, 4))
def test_overlaps_are_those_of_sets_of_word_tuples(first, second, text, n):
    items = {"a": first, "b": second}
    index, sizes = build_index(
        {name: [Item(str(i), each) for i, each in enumerate(of_set)] for name, of_set in items.items()}, n
    )
    here = grams(text, n)
    expected = []
    for name, of_set in items.items():
        shares = [
            (len(here & grams(each, n)) / len(grams(each, n)), str(i))
            for i, each in enumerate(of_set)
            if grams(each, n)
        ]
        together = set().union(*(grams(each, n) for each in of_set))
        assert sizes[name].ngrams == len(together)
        if here & together:
            best = max(share for share, _ in shares)
            touched = sum(share > 0 for share, _ in shares)
            expected.append(
                Overlap(
                    name,
                    len(here & together),
                    len(here & together) / len(here),
                    touched,
                    best,
                    next(i for share, i in shares if share == best),
                )
            )
    assert overlaps(index, text) == expected


@pytest.mark.parametrize("text", ["", "one", "\u4f60\u597d\u4e16\u754c"])
def test_an_index_of_nothing_finds_nothing(text):
    index, _ = build_index({}, 3)
    assert overlaps(index, text) == []


def test_runs_hash_alike_wherever_they_stand_and_differ_in_order():
    words = [b"a", b"b", b"c", b"a", b"b", b"d", b"b", b"a"]
    hashes = ngram_hashes(words, 2)
    assert hashes[0] == hashes[3] and hashes[0] != hashes[6]
    assert len(ngram_hashes(words, 9)) == 0 and len(np.unique(ngram_hashes(words, 8))) == 1
