"""Lines and paragraphs, where they are and what is compared of them."""

from __future__ import annotations

import pytest

from spark_jobs.text.passages import passages

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


def test_case_accents_punctuation_and_numbers_do_not_count():
    found = passages("Caf\u00e9 no. 7!\ncafe NO 31\ncafe no", "line", 1)
    assert found.high[0] == found.high[1] != found.high[2]
    assert found.low[0] == found.low[1] != found.low[2]


def test_an_empty_text_has_no_passages():
    assert [len(column) for column in passages("", "line", 1)] == [0, 0, 0, 0]
