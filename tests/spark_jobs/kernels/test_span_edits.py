"""Span edits against the definition, character by character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.span_edits import Span, apply_spans

TEXT = "0123456789abcdefghij"
SPANS = st.lists(
    st.tuples(st.integers(0, 19), st.integers(1, 8), st.sampled_from(["", "", "<A>", "<B>", "<C>"])).map(
        lambda t: Span(t[0], min(t[0] + t[1], 20), t[2])
    ),
    max_size=8,
)


def test_removals_and_replacements_are_placed_by_the_original_text():
    assert apply_spans(TEXT, [Span(15, 20), Span(0, 2), Span(4, 6, "<NAME>")]) == "23<NAME>6789abcde"


def test_no_spans_leave_the_text_and_one_span_may_take_all_of_it():
    assert apply_spans(TEXT, []) == TEXT
    assert apply_spans(TEXT, [Span(0, 20)]) == ""
    assert apply_spans("", []) == ""


def test_overlapping_removals_merge():
    assert apply_spans(TEXT, [Span(2, 6), Span(4, 10), Span(5, 7)]) == "01abcdefghij"


def test_a_removal_wins_over_a_replacement_inside_it():
    assert apply_spans(TEXT, [Span(3, 5, "<NAME>"), Span(2, 8)]) == "0189abcdefghij"


def test_a_replacement_that_is_removed_in_part_stands_where_the_rest_was():
    assert apply_spans(TEXT, [Span(2, 8, "<NAME>"), Span(0, 4)]) == "<NAME>89abcdefghij"
    assert apply_spans(TEXT, [Span(2, 8, "<NAME>"), Span(6, 10)]) == "01<NAME>abcdefghij"
    assert apply_spans(TEXT, [Span(2, 8, "<NAME>"), Span(4, 6)]) == "01<NAME>89abcdefghij"


def test_of_overlapping_replacements_the_earlier_then_the_longer_stands_for_all():
    assert apply_spans(TEXT, [Span(4, 8, "<B>"), Span(2, 6, "<A>")]) == "01<A>89abcdefghij"
    assert apply_spans(TEXT, [Span(2, 6, "<A>"), Span(2, 8, "<B>")]) == "01<B>89abcdefghij"


def test_replacements_that_only_touch_are_two():
    assert apply_spans(TEXT, [Span(0, 10, "<A>"), Span(10, 20, "<B>")]) == "<A><B>"


@pytest.mark.parametrize("span", [Span(-1, 3), Span(3, 3), Span(5, 4), Span(18, 21)])
def test_a_span_of_another_text_is_refused(span):
    with pytest.raises(ValueError, match="does not fit a text of 20 characters"):
        apply_spans(TEXT, [span])


@given(SPANS)
def test_what_is_left_is_exactly_what_no_span_covers(spans):
    covered = {place for span in spans for place in range(span.start, span.end)}
    edited = apply_spans(TEXT, spans)
    for placeholder in ("<A>", "<B>", "<C>"):
        edited = edited.replace(placeholder, "")
    assert edited == "".join(character for place, character in enumerate(TEXT) if place not in covered)


@given(SPANS)
def test_the_order_of_the_spans_does_not_matter(spans):
    assert apply_spans(TEXT, spans) == apply_spans(TEXT, spans[::-1])


@given(SPANS)
def test_a_replacement_is_seen_unless_removals_cover_it_wholly(spans):
    removed = {place for span in spans if not span.replacement for place in range(span.start, span.end)}
    seen = any(span.replacement and not removed.issuperset(range(span.start, span.end)) for span in spans)
    assert ("<" in apply_spans(TEXT, spans)) == seen
