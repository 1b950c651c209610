"""Lines and paragraphs, where they are and what is compared of them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.passages import passages
from spark_jobs.kernels.duplicates.shingles import comparable_words

TEXT = "\nMenu one\nmenu\n\n\nCaf\u00e9 12,5\n\n...\nEnd of it"


@pytest.mark.parametrize(
    ("unit", "least_characters", "expected"),
    [
        ("line", 1, ["Menu one\n", "menu\n\n\n", "Caf\u00e9 12,5\n\n", "End of it"]),
        ("line", 6, ["Menu one\n", "Caf\u00e9 12,5\n\n", "End of it"]),
        ("paragraph", 1, ["Menu one\nmenu\n\n\n", "Caf\u00e9 12,5\n\n", "...\nEnd of it"]),
        ("paragraph", 100, []),
    ],
)
def test_each_passage_takes_the_line_feeds_after_it(unit, least_characters, expected):
    found = passages(TEXT, unit, least_characters)
    assert [TEXT[start:end] for start, end in zip(found.start, found.end, strict=True)] == expected


def test_a_text_without_blank_lines_has_a_paragraph_in_every_line():
    text = "The mill is open.\nIts wheel turns.\nCome in spring."
    found = passages(text, "paragraph", 1)
    assert [text[start:end] for start, end in zip(found.start, found.end, strict=True)] == text.splitlines(
        keepends=True
    )


def test_case_accents_punctuation_and_numbers_do_not_count():
    found = passages("Caf\u00e9 no. 7!\ncafe NO 31\ncafe no", "line", 1)
    assert found.high[0] == found.high[1] != found.high[2]
    assert found.low[0] == found.low[1] != found.low[2]


def test_an_empty_text_has_no_passages():
    assert [len(column) for column in passages("", "line", 1)] == [0, 0, 0, 0]


@given(st.lists(st.text("a\u00e9\u0301 1,.\u0e01\r", max_size=6), max_size=8))
def test_a_line_is_compared_by_its_own_words(lines):
    found = passages("\n".join(lines), "line", 1)
    expected = [b" ".join(comparable_words(line)) for line in lines if comparable_words(line)]
    digests = [
        (int.from_bytes(d[:8], "little", signed=True), int.from_bytes(d[8:16], "little", signed=True))
        for d in (hashlib.sha256(words).digest() for words in expected)
    ]
    assert list(zip(found.high, found.low, strict=True)) == digests
