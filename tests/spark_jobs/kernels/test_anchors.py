"""Anchors and regions: with them alone, repeated windows are found exactly as a suffix array finds them."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.suffix_array import repeated_tokens
from spark_jobs.kernels.duplicates.anchors import anchored_regions, find_tokens, grams_within

WORDS = st.sampled_from(["a", "b", "the", "river"])
TEXTS = st.lists(st.lists(WORDS, max_size=60), max_size=6)


def places_of_later_copies(places: list[tuple]) -> set[tuple[int, int, int]]:
    """(text, start, end) of all but the first of the stretches with equal digests; places are (digest, text, start,
    end)."""
    first: dict[tuple, tuple[int, int]] = {}
    for digest, text, start, _ in sorted(places, key=lambda place: place[1:3]):
        first.setdefault(digest, (text, start))
    return {(text, start, end) for digest, text, start, end in places if first[digest] != (text, start)}


def repeated_characters(texts: list[str], tokens: int, anchor_tokens: int) -> list[np.ndarray]:
    """The steps of `deduplicate_substrings` in one process: for each text, which of its characters are in a repeated
    gram."""
    found = [anchored_regions(text, tokens, anchor_tokens) for text in texts]
    regions = [
        (number, *region)
        for number, (anchors, stretches) in enumerate(found)
        for region in zip(anchors, *stretches, strict=True)
    ]
    repeated = places_of_later_copies(
        [((high, low), number, start, end) for number, _, high, low, start, end in regions]
    )
    contents = defaultdict(set)
    for _, anchor, high, low, _, _ in regions:
        contents[anchor].add((high, low))
    compared = defaultdict(list)
    for number, anchor, _, _, start, end in regions:
        if len(contents[anchor]) > 1 and (number, start, end) not in repeated:
            compared[number].append((start, end))
    grams = [
        (number, *gram)
        for number, within in compared.items()
        for gram in zip(*grams_within(texts[number], within, tokens), strict=True)
    ]
    repeated |= places_of_later_copies([((high, low), number, start, end) for number, high, low, start, end in grams])
    covered = [np.zeros(len(text), dtype=bool) for text in texts]
    for number, start, end in repeated:
        covered[number][start:end] = True
    return covered


def characters_of_tokens(text: str, wanted: np.ndarray) -> np.ndarray:
    """The characters of the wanted tokens, as the characters of a text."""
    found = find_tokens(text)
    covered = np.zeros(len(text), dtype=bool)
    for start, end in zip(found.text_starts[wanted], found.text_ends[wanted], strict=True):
        covered[start:end] = True
    return covered


def assert_equal_to_the_oracle(texts: list[str], tokens: int, anchor_tokens: int) -> None:
    actual = repeated_characters(texts, tokens, anchor_tokens)
    for text, covered, repeated in zip(
        texts, actual, repeated_tokens([text.split() for text in texts], tokens), strict=True
    ):
        in_tokens = characters_of_tokens(text, np.ones(len(repeated), dtype=bool))
        assert np.array_equal(covered & in_tokens, characters_of_tokens(text, repeated))


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 8), st.data())
def test_repeats_are_those_of_a_suffix_array(words, tokens, data):
    anchor_tokens = data.draw(st.integers(1, tokens))
    assert_equal_to_the_oracle([" ".join(text) for text in words], tokens, anchor_tokens)


@pytest.mark.parametrize("anchor_tokens", [1, 3, 12])
def test_planted_and_periodic_repeats_are_those_of_a_suffix_array(anchor_tokens):
    draw = random.Random(anchor_tokens)
    vocabulary = [f"w{number}" for number in range(400)]
    planted = [draw.choices(vocabulary, k=draw.randrange(8, 60)) for _ in range(12)]
    texts = []
    for _ in range(60):
        words: list[str] = []
        for _ in range(draw.randrange(6)):
            words += draw.choices(vocabulary, k=draw.randrange(40))
            passage = draw.choice(planted)
            words += passage[draw.randrange(len(passage)) :] * draw.choice([1, 1, 1, 4])
        texts.append(" ".join(words))
    assert_equal_to_the_oracle(texts, 12, anchor_tokens)


def test_the_oracle_itself_finds_a_repeat():
    assert [list(map(int, repeated)) for repeated in repeated_tokens([list("abcd"), list("xbcdy"), []], 3)] == [
        [0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [],
    ]
    assert [list(map(int, repeated)) for repeated in repeated_tokens([list("aaaaa")], 3)] == [[0, 1, 1, 1, 1]]


def test_runs_of_white_space_count_as_one_space():
    (anchors, one), (same_anchors, other) = (
        anchored_regions(text, 3, 2) for text in ("one two three", "\u00a0one\n\n  two\t\u2003three ")
    )
    assert (one.high.tolist(), one.low.tolist(), anchors.tolist()) == (
        other.high.tolist(),
        other.low.tolist(),
        same_anchors.tolist(),
    )
    assert (other.start.tolist(), other.end.tolist()) == ([1], [18])


def test_a_character_of_a_script_without_spaces_is_a_token():
    found = find_tokens("ab \u65e5\u672c\u8a9e\u3067\U00020000c d")
    stretches = [
        "ab \u65e5\u672c\u8a9e\u3067\U00020000c d"[start:end]
        for start, end in zip(found.text_starts, found.text_ends, strict=True)
    ]
    assert stretches == ["ab", "\u65e5", "\u672c", "\u8a9e", "\u3067", "\U00020000", "c", "d"]


def test_texts_with_fewer_tokens_than_a_gram_have_no_regions():
    for text in ("", " ", "one two"):
        anchors, regions = anchored_regions(text, 3, 2)
        assert [len(column) for column in (anchors, *regions)] == [0] * 5


def test_long_texts_have_few_anchors():
    draw = random.Random(1)
    text = " ".join(draw.choices([f"w{number}" for number in range(5000)], k=20_000))
    assert len(anchored_regions(text, 50, 12)[0]) < 20_000 / 18


@given(st.text(st.characters(max_codepoint=0xDFF) | st.sampled_from(" \u2003\u3000"), max_size=40))
def test_tokens_of_spaced_texts_are_those_of_split(text):
    found = find_tokens(text)
    assert [text[start:end] for start, end in zip(found.text_starts, found.text_ends, strict=True)] == text.split()
