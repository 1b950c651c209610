"""Rules on lines as spans: applied, they leave what the rules leave."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.line_edits import ALL_RULES, C4_RULES, line_edits
from spark_jobs.kernels.measures.line_measures import measure_lines
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.kernels.span_edits import Span, apply_spans

PAGE = "\n".join(
    (
        "MAIN MENU HERE",
        "The page begins with a sentence[1].",
        "",
        "Please enable JavaScript now.",
        "We use cookies here.",
        "Home page",
        "a line without an end",
        "3 items in cart, dear reader",
        "The last line ends.",
    )
)


def edited(text: str, *rules: str) -> str:
    return apply_spans(text, (Span(edit.start, edit.end) for edit in line_edits(text, rules)))


def test_only_the_chosen_rules_remove():
    assert edited(PAGE) == PAGE
    assert edited("Use JavaScript on this page.\nIt works.", "c4.javascript") == "It works."
    assert edited("HOME PAGE\nIt works.", "refinedweb.uppercase") == "It works."
    assert line_edits("HOME PAGE\nIt works.", ["c4.short"]) == [("c4.short", 0, 10), ("c4.short", 10, 19)]


def test_all_rules_of_c4_leave_what_c4_leaves():
    assert edited(PAGE, *C4_RULES) == "The page begins with a sentence.\nThe last line ends."


def test_all_rules_of_both_leave_what_both_leave():
    assert edited(PAGE, *ALL_RULES) == "The page begins with a sentence.\nThe last line ends."
    assert (
        edited("3 items in cart, dear reader\nsign-in to read", "refinedweb.cart", "refinedweb.sign_in")
        == "3, dear reader\nto read"
    )


@given(st.text(alphabet="ab.[1] \n{I'", max_size=120))
def test_without_the_rule_on_end_marks_the_lines_are_those_that_fineweb_saw(text):
    rules = [rule for rule in C4_RULES if rule != "c4.no_terminal_punctuation"]
    assert [line.strip() for line in edited(text, *rules).splitlines() if line.strip()] == [
        line.strip() for line in TextView(text).c4_lines.kept if line.strip()
    ]


def test_every_line_is_measured():
    measures = measure_lines("\u2022 First Line 12!\n\nJavaScript and javascript -- \u2026")
    assert measures.starts == [0, 17, 18]
    assert measures.ends_with_terminal_punctuation == [True, False, False]
    assert measures.uppercase_letter_fraction == [2 / 16, 0.0, 2 / 30]
    assert measures.numerical_character_fraction == [2 / 16, 0.0, 0.0]
    assert measures.n_words == [3, 0, 3]
    assert measures.starts_with_bullet == [True, False, False]
    assert measures.javascript_count == [0, 0, 2]
    assert measure_lines("").starts == []
