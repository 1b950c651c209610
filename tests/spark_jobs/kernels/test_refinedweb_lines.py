"""RefinedWeb's corrections of lines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.text_view import TextView


def removed(text: str) -> list[tuple[str, str]]:
    return [(fault.rule, text[fault.start : fault.end]) for fault in TextView(text).refinedweb_faults]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\n", []),
        ("A line that stays.\n\nAnother one.", []),
        ("MAIN MENU\nTEXT in text", [("uppercase", "MAIN MENU")]),
        ("2024\n20 24\n", [("numeric", "2024")]),
        ("1.2K likes\n(3 comments)\n3 comments on it", [("counter", "1.2K likes"), ("counter", "(3 comments)")]),
        ("Home\n \nHome page", [("one_word", "Home"), ("one_word", " ")]),
        ("You have 3 items in cart now", [("cart", " items in cart")]),
        ("The news. Read more...\nRead more... of it", [("read_more", " Read more...")]),
        ("Read more...", [("read_more", "Read more...")]),
        ("Sign-in to read\nPlease sign-in first", [("sign_in", "Sign-in ")]),
        ("one two three four five six seven eight nine ten read more...", []),
        (
            "\u00c4\u00d6\u00dc \u00c4\u00d6\u00dc\nS\u00e4tze bleiben hier.",
            [("uppercase", "\u00c4\u00d6\u00dc \u00c4\u00d6\u00dc")],
        ),
    ],
)
def test_what_is_removed_of_a_text(text, expected):
    assert removed(text) == expected


@given(st.text(alphabet="aA1 \nS-read mo.items cart", max_size=80))
def test_removals_lie_in_order_within_single_lines(text):
    faults = TextView(text).refinedweb_faults
    assert all(first.end <= second.start for first, second in pairwise(faults))
    assert all(fault.start < fault.end and "\n" not in text[fault.start : fault.end] for fault in faults)
