"""Text as an n-gram model reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.models.normal_text import normal_text, word_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CAT sat.", "the cat sat."),
        ("Caf\u00e9 na\u00efve \u00c5", "cafe naive a"),
        ("in 1984, \u0664\u0662", "in 0000, 00"),
        ("\u201cyes\u201d\u2014no\u2026", '"yes" - no...'),
        ("a\tb\x00c\nd", "abc\nd"),
        ("\u4f60\u597d\u3002", "\u4f60\u597d."),
    ],
)
def test_text_becomes_ccnet_s_normal_form(text, expected):
    assert normal_text(text) == expected


def test_marks_are_words_of_their_own():
    assert word_line("don't stop ( now ).") == "don ' t stop ( now ) ."
    assert word_line("  ") == ""


@given(st.text(max_size=200))
def test_normalising_keeps_the_lines_and_words_have_single_spaces(text):
    normal = normal_text(text)
    assert normal.count("\n") == text.count("\n")
    for line in normal.split("\n"):
        words = word_line(line)
        assert words.split() == words.split(" ") or words == ""
