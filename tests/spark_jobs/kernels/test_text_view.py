"""What a text is made into for the signals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.text_view import TextView, numbered
from spark_jobs.kernels.measures.words import split_words


@given(st.text() | st.text(alphabet="an't. \n,-9\u4f60\u0e01"))
def test_splitting_each_distinct_stretch_once_numbers_words_as_splitting_all_does(text):
    vocabulary, ids = TextView(text).numbered_words
    expected, expected_ids = numbered(split_words(text))
    assert (list(vocabulary.items()), ids.tolist()) == (list(expected.items()), expected_ids.tolist())


def test_a_splitter_that_drops_characters_is_asked_for_the_whole_text():
    view = TextView("a-b c a-b", lambda text: text.replace("-b", "").split())
    assert (list(view.vocabulary), view.word_ids.tolist()) == (["a", "c"], [0, 1, 0])
