"""spaCy's words, and that the fast splitter is near them."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.measures.spacy_words import split_words_by_spacy
from spark_jobs.kernels.measures.words import split_words

pytest.importorskip("spacy", reason="spaCy is not installed: pip install headwater[pii]")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("", "en", []),
        (" \n\u00a0 ", "en", []),
        ("Mr. Fox can't go to example.org.", "en", ["Mr.", "Fox", "ca", "n't", "go", "to", "example.org", "."]),
        ("Das geht z.B. hier.", "de", ["Das", "geht", "z.B.", "hier", "."]),
        ("no such language, but words", "zzz", ["no", "such", "language", ",", "but", "words"]),
        ("\u4f60\u597d\u3002", "zh", ["\u4f60", "\u597d", "\u3002"]),
        ("a IS_ALPHA b", "en", ["a", "b"]),
    ],
)
def test_text_splits_as_spacy_splits_it(text, language, expected):
    assert split_words_by_spacy(text, language) == expected


@given(st.lists(st.text(alphabet="an't.'-,:/@&1 \n\u2019"), max_size=4))
def test_parts_between_white_space_split_as_the_whole_does(parts):
    assert split_words_by_spacy("\n".join(parts)) == [word for part in parts for word in split_words_by_spacy(part)]


def test_the_fast_splitter_finds_nearly_as_many_words_in_prose(shared_data):
    with gzip.open(shared_data / "text" / "english-web-treebank.txt.gz", "rt", encoding="utf-8") as file:
        text = file.read(200_000)
    assert len(split_words(text)) == pytest.approx(len(split_words_by_spacy(text)), rel=0.02)
