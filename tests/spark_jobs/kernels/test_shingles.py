"""Shingle hashes against the definition: the set of runs of words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.duplicates.shingles import comparable_words, shingle_hashes

WORDS = st.lists(st.sampled_from(["a", "b", "c", "river", "stone"]), max_size=40)


def words_of(text: str) -> list[str]:
    return [word.decode() for word in comparable_words(text)]


def test_case_accents_punctuation_and_numbers_do_not_count():
    assert words_of("Le CAFÉ, l'été: 1,234.50 EUR!") == ["le", "cafe", "l", "ete", "0", "eur"]
    assert words_of("le cafe l ete 7 eur") == words_of("Le CAFÉ, l\u2019été \u2014 1,234.50 EUR!")


def test_composed_and_decomposed_letters_are_equal():
    assert words_of("na\u00efve") == words_of("nai\u0308ve") == ["naive"]


def test_a_script_without_spaces_gives_a_word_for_each_character():
    assert words_of("日本語です, ok") == ["日", "本", "語", "て", "す", "ok"]


@given(
    st.text(
        alphabet=st.characters(codec="ascii") | st.sampled_from("\u00a0\u2019\u2014\u201c\u205e\u200d"), max_size=60
    )
)
def test_ascii_takes_a_faster_way_to_the_same_words(text):
    assert words_of(text + " \u0416") == [*words_of(text), "\u0436"]


def test_a_text_with_fewer_words_than_a_shingle_has_none():
    assert shingle_hashes("one two three four", 5).tolist() == []
    assert shingle_hashes("", 1).tolist() == []
    assert len(shingle_hashes("one two three four five", 5)) == 1


@given(WORDS, st.integers(1, 6))
def test_there_is_one_hash_for_each_distinct_run_of_words(words, length):
    runs = {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
    hashes = shingle_hashes(" ".join(words), length)
    assert len(hashes) == len(runs)
    assert hashes.tolist() == sorted(set(hashes.tolist()))


@given(WORDS, WORDS, st.integers(1, 4))
def test_texts_share_as_many_hashes_as_runs_of_words(one, other, length):
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}

    common = np.intersect1d(shingle_hashes(" ".join(one), length), shingle_hashes(" ".join(other), length))
    assert len(common) == len(runs(one) & runs(other))


def test_the_order_of_words_counts():
    assert shingle_hashes("a b a b c", 5).tolist() != shingle_hashes("b a b a c", 5).tolist()


def test_any_unicode_text_has_shingles_or_none_but_never_an_error():
    assert len(shingle_hashes("\ud800 lone surrogates \udfff in a text", 3)) == 3


def test_hashes_stay_what_they_were_when_a_lake_was_written():
    assert shingle_hashes("the quick brown fox jumps over", 5).tolist() == [728968994, 1425551289]
