"""Repetition counts against slow, plain code that works on strings and tuples."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spark_jobs.kernels.measures.repetition import DUPLICATE_LENGTHS, TOP_LENGTHS, repeated_items, repeated_with_first
from spark_jobs.kernels.measures.text_view import TextView

few_words = st.lists(st.sampled_from(["a", "bb", "ccc", "ab"]), max_size=80).map(" ".join)
some_words = st.lists(st.sampled_from([f"w{n}" for n in range(12)]), max_size=120).map(" ".join)


def slow_top_characters(words: list[str], n: int) -> int:
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not ngrams:
        return 0
    counts = Counter(ngrams)
    most = max(counts.values())
    first = next(ngram for ngram in ngrams if counts[ngram] == most)
    return len(" ".join(first)) * most


def slow_duplicate_characters(words: list[str], n: int) -> int:
    met = set()
    characters = position = 0
    while position + n <= len(words):
        ngram = tuple(words[position : position + n])
        if ngram in met:
            characters += sum(map(len, ngram))
            position += n
        else:
            met.add(ngram)
            position += 1
    return characters


@settings(deadline=None, max_examples=300)
@given(few_words | some_words)
@example("")
@example("a")
@example("a a a a a a a a a a a a")
@example("a bb a bb a bb a bb a bb a bb a")
def test_ngram_counts_equal_the_slow_ones(text):
    expected = {n: slow_top_characters(text.split(), n) for n in TOP_LENGTHS} | {
        n: slow_duplicate_characters(text.split(), n) for n in DUPLICATE_LENGTHS
    }
    assert TextView(text).repeated_ngrams == expected


def test_ngram_counts_equal_the_slow_ones_on_a_long_text_with_copied_stretches():
    words = [f"w{(n * n) % 997}" for n in range(5000)]
    text = " ".join(words + words[100:700] + ["x"] + words[4000:4020] + words[100:200])
    words = text.split()
    expected = {n: slow_top_characters(words, n) for n in TOP_LENGTHS} | {
        n: slow_duplicate_characters(words, n) for n in DUPLICATE_LENGTHS
    }
    assert TextView(text).repeated_ngrams == expected


def test_a_stretch_met_twice_is_stepped_over_whole():
    # The second "a b c d e" is one hit of five characters; the words after it start afresh.
    assert TextView("a b c d e a b c d e f").repeated_ngrams[5] == 5


def test_the_first_of_equally_frequent_ngrams_is_taken():
    assert TextView("x y long words x y long words").repeated_ngrams[2] == 2 * len("x y")


def test_copies_are_counted_from_the_second_on():
    assert repeated_items([]) == (0, 0)
    assert repeated_items(["one", "two", "one", "one"]) == (2, 6)


line_texts = st.text(alphabet="ab \n", max_size=60)


@given(line_texts)
@example("\n")
@example("\n\na\n\n")
@example("a\n\n\nb\n\n\n\na")
def test_lines_and_paragraphs_equal_those_of_regular_expressions(text):
    view = TextView(text)
    lines = re.split(r"\n+", text) if text else []
    assert view.repeated_lines == (len(lines), *repeated_items(lines))
    paragraphs = re.split(r"\n{2,}", text.strip()) if text.strip() else []
    assert view.repeated_paragraphs == (len(paragraphs), *repeated_items(paragraphs))


def slow_share(words: list[str], n: int) -> float:
    """Dolma's reading."""
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not counts:
        return 0.0
    if n in TOP_LENGTHS:
        ngram, count = counts.most_common(1)[0]
        return count * len("".join(ngram)) / sum(map(len, words))
    return sum(count * len("".join(ngram)) for ngram, count in counts.items() if count > 1) / sum(
        len("".join(ngram)) * c for ngram, c in counts.items()
    )


@settings(deadline=None, max_examples=200)
@given(few_words | some_words)
@example("")
@example("a")
@example("a a a a a a a a a a a a")
def test_shares_of_ngrams_equal_the_slow_ones(text):
    expected = {n: slow_share(text.split(), n) for n in (*TOP_LENGTHS, *DUPLICATE_LENGTHS)}
    assert TextView(text).stretch_ngram_shares == pytest.approx(expected)


def test_all_copies_are_counted_with_the_first():
    assert repeated_with_first([]) == (0, 0)
    assert repeated_with_first(["one", "two", "one", "one"]) == (3, 9)
