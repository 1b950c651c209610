"""C4's line rules."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from spark_jobs.text.c4_lines import count_sentences, read_c4_lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", 0),
        ("   ", 0),
        ("no mark at all", 1),
        ("One. Two! Three? Four", 4),
        ('He said "Stop." Then he left.', 2),
        ("Mr. Fox and Dr. J. Smith paid 3.50 at example.org.", 1),
        ("What?! Really...", 2),
        ("\u4f60\u597d\u3002 \u518d\u89c1\u3002", 2),
    ],
)
def test_sentences_of_a_line(line, expected):
    assert count_sentences(line) == expected


def test_a_line_is_counted_for_the_first_rule_that_removes_it():
    lines = [
        "x" * 1001 + " with javascript in it",
        "use cookies",
        "Javascript must be on { or else",
        "body { color: red }",
        "Lorem Ipsum dolor sit amet { javascript",
        "We use cookies; see our privacy policy.",
        "A line of plain text [1] without a mark",
        "A citation follows. [citation needed]",
        "",
        "It goes on...",
    ]
    counts = asdict(read_c4_lines(lines))
    assert counts == {
        "long_word": 1,
        "short": 1,
        "javascript": 1,
        "policy": 1,
        "unpunctuated": 7,
        "lorem_ipsum": 1,
        "curly_bracket": 1,
        "sentences": 3,
        "punctuated_sentences": 0,
    }


def test_no_lines_have_no_counts():
    assert set(asdict(read_c4_lines([])).values()) == {0}
