"""The word splitter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.words import split_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("Hello, world!", ["Hello", ",", "world", "!"]),
        ('("Well...")', ["(", '"', "Well", "...", '"', ")"]),
        ("I don't, it's o'clock", ["I", "do", "n't", ",", "it", "'s", "o'clock"]),
        ("we\u2019re and didn\u2019t", ["we", "\u2019re", "and", "did", "n\u2019t"]),
        ("the U.S. spent $1,000.50 (3.5%)", ["the", "U.S.", "spent", "$", "1,000.50", "(", "3.5", "%", ")"]),
        ("well-known covid-19 of 2019-2020", ["well", "-", "known", "covid-19", "of", "2019", "-", "2020"]),
        (
            "see https://example.org/a-b?c=d, or www.example.org.",
            ["see", "https://example.org/a-b?c=d", ",", "or", "www.example.org", "."],
        ),
        ("mail name@example.org at AT&T", ["mail", "name@example.org", "at", "AT&T"]),
        ("and/or his/her snake_case at 10:30", ["and/or", "his", "/", "her", "snake_case", "at", "10:30"]),
        ("the end.Then", ["the", "end", ".", "Then"]),
        ("10km, 35mm. 5% 16GB", ["10", "km", ",", "35", "mm", ".", "5", "%", "16", "GB"]),
        ("Mr. Fox vs. J. Bear, Inc.", ["Mr.", "Fox", "vs.", "J.", "Bear", ",", "Inc."]),
        ("$5-$10 (10+) C++ +3", ["$", "5-$10", "(", "10", "+", ")", "C++", "+3"]),
        ("f(x), --help and {a: [1]}", ["f(x", ")", ",", "--help", "and", "{", "a", ":", "[", "1", "]", "}"]),
        ("#tag :) \u2605new", ["#", "tag", ":)", "\u2605", "new"]),
        ("----- # *", ["-----", "#", "*"]),
        (
            "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e\u0964",
            ["\u0928\u092e\u0938\u094d\u0924\u0947", "\u0926\u0941\u0928\u093f\u092f\u093e", "\u0964"],
        ),
        ("caf\u00e9 cafe\u0301 \u4f60\u597d\u3002", ["caf\u00e9", "cafe\u0301", "\u4f60", "\u597d", "\u3002"]),
        ("\u6211\u7528iPhone\u624b", ["\u6211", "\u7528", "iPhone", "\u624b"]),
        (
            "\u30b3\u30f3\u30d4\u30e5\u30fc\u30bf\u306f\u901f\u3044",
            ["\u30b3\u30f3\u30d4\u30e5\u30fc\u30bf", "\u306f", "\u901f", "\u3044"],
        ),
        ("\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 2500", ["\u0e20\u0e32\u0e29\u0e32", "\u0e44\u0e17\u0e22", "2500"]),
    ],
)
def test_text_splits_into_words_and_marks(text, expected):
    assert split_words(text) == expected


@given(st.text() | st.text(alphabet="an't.'-,:/@&1 \n\u2019"))
def test_splitting_loses_nothing_but_white_space(text):
    words = split_words(text)
    assert "".join(words) == "".join(text.split())
    assert all(word and not any(map(str.isspace, word)) for word in words)


@given(st.lists(st.text(), max_size=4))
def test_parts_between_white_space_split_as_the_whole_does(parts):
    assert split_words("\n".join(parts)) == [word for part in parts for word in split_words(part)]


def test_a_word_of_a_million_characters_is_split_in_linear_time():
    assert split_words("a" * 1_000_000) == ["a" * 1_000_000]
    assert len(split_words("a.'" * 300_000)) > 0
