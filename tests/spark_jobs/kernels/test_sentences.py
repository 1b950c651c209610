"""Sentences by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.sentences import LONGEST, split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("One. Two! Three? four", ["One.", "Two!", "Three?", "four"]),
        ("Dr. Who met J. R. Smith at 3.14 p.m. sharp.", ["Dr. Who met J. R. Smith at 3.14 p.m. sharp."]),
        ('"Really?" He left.', ['"Really?"', "He left."]),
        ("A title\nA sentence. ", ["A title", "A sentence."]),
        ("\u4f60\u597d\u3002\u518d\u89c1\uff01", ["\u4f60\u597d\u3002", "\u518d\u89c1\uff01"]),
        ("\u0928\u092e\u0964 \u0926\u0941\u0964", ["\u0928\u092e\u0964", "\u0926\u0941\u0964"]),
    ],
)
def test_marks_and_line_feeds_end_sentences(text, expected):
    assert split_sentences(text) == expected


@given(st.text(alphabet=st.sampled_from(list("ab A.!? \n\u3002\u0964")), max_size=300) | st.text(max_size=100))
def test_nothing_but_white_space_is_lost(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() and sentence and "\n" not in sentence for sentence in sentences)


def test_a_page_without_marks_is_cut_at_spaces():
    sentences = split_sentences("word " * 2000)
    assert all(len(sentence) <= LONGEST for sentence in sentences)
    assert len(sentences) == 5
    assert [len(sentence) for sentence in split_sentences("x" * 5000)] == [2000, 2000, 1000]
