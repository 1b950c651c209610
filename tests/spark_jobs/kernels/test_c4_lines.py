"""C4's line rules."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from spark_jobs.kernels.measures.c4_lines import read_c4_lines
from spark_jobs.kernels.measures.sentences import count_c4_sentences


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
    assert count_c4_sentences(line) == expected


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
    assert asdict(read_c4_lines(lines)) == {
        "long_word": 1,
        "short": 1,
        "javascript": 2,
        "policy": 1,
        "unpunctuated": 7,
        "lorem_ipsum": 1,
        "punctuated_lorem_ipsum": 0,
        "curly_bracket": 1,
        "punctuated_curly_bracket": 0,
        "sentences": 4,
        "punctuated_sentences": 0,
        "kept": [
            "body { color: red }",
            "A line of plain text  without a mark",
            "A citation follows. ",
            "It goes on...",
        ],
        "lost": [*lines[:3], *lines[4:8]],
        "changed": ["A line of plain text  without a mark", "A citation follows. "],
    }


def test_no_lines_have_no_counts():
    assert {value for value in asdict(read_c4_lines([])).values() if value != []} == {0}
