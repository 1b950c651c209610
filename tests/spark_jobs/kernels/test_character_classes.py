"""Flags of characters against the methods of `str`."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.character_classes import (
    ALPHABETIC,
    ALPHANUMERIC,
    NUMERIC,
    SPACE,
    UPPERCASE,
    character_flags,
    count_before,
    word_bounds,
)

METHODS = {
    ALPHABETIC: str.isalpha,
    NUMERIC: str.isdigit,
    UPPERCASE: str.isupper,
    SPACE: str.isspace,
    ALPHANUMERIC: str.isalnum,
}


@given(st.text())
@example("")
@example("\ud800 \U0001f600 \U0010ffff\u00c9\u0660\x85")
def test_flags_are_those_of_the_methods(text):
    flags = character_flags(text)
    assert len(flags) == len(text)
    for kind, holds in METHODS.items():
        assert [bool(flag & kind) for flag in flags] == [holds(character) for character in text]


@given(st.text())
def test_words_are_where_split_finds_them(text):
    starts, ends = word_bounds(character_flags(text))
    assert [text[start:end] for start, end in zip(starts, ends, strict=True)] == text.split()


def test_counts_come_before_each_place():
    assert count_before(character_flags("aBcD"), UPPERCASE).tolist() == [0, 0, 1, 1, 2]
