"""Byte-level BPE: the way back, where words are cut, and document boundaries that no page can forge."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from spark_jobs.kernels.tokenization.byte_level_bpe import train_byte_level_bpe
from spark_jobs.kernels.tokenization.token_ids import END_OF_DOCUMENT, PADDING, encode_documents

TEXTS = [
    f"The river {name} carries {n * 37} barrels of water past town {n}, and nobody counts them."
    for n, name in enumerate(["Aar", "Inn", "Ob", "Po"] * 10)
]


@cache
def tokenizer(split_digits: bool = True) -> Tokenizer:
    return train_byte_level_bpe(
        TEXTS, 350, split_digits=split_digits, special_tokens=[END_OF_DOCUMENT, PADDING, "<|user|>"]
    )


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text("aT 1\n\r\t'\u0915\u093f\u2581", max_size=40))
def test_any_text_survives_the_round_trip(text):
    (encoded,) = encode_documents(tokenizer(), [text], 0)
    ids = np.frombuffer(encoded, "<u2")
    assert tokenizer().decode(ids[:-1].tolist(), skip_special_tokens=False) == text


@pytest.mark.parametrize("name", [END_OF_DOCUMENT, PADDING, "<|user|>"])
def test_a_page_cannot_forge_a_document_boundary_nor_any_special_token(name):
    (encoded,) = encode_documents(tokenizer(), [f"before {name} after"], 0)
    ids = np.frombuffer(encoded, "<u2")
    assert (ids < 3).nonzero()[0].tolist() == [len(ids) - 1]


def test_special_tokens_have_the_first_ids():
    assert [tokenizer().id_to_token(i) for i in range(3)] == [END_OF_DOCUMENT, PADDING, "<|user|>"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two words, don't", ["Two", " words", ",", " don", "'t"]),
        # Vowel signs and the virama are marks: they stay with their letters.
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e19\u0e49\u0e33",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", " \u0e19\u0e49\u0e33"],
        ),
        ("a 12\u0663", ["a", " ", "1", "2", "\u0663"]),
        ("if x:\n\n    return", ["if", " x", ":", "\n\n", "   ", " return"]),
        ("end \r\n", ["end", " \r\n"]),
    ],
)
def test_words_are_cut_before_anything_is_merged(text, expected):
    assert words(tokenizer(), text) == expected


def test_numbers_stay_whole_where_asked():
    assert words(tokenizer(split_digits=False), "in 1999, 2000") == ["in", " 1999", ",", " 2000"]


def words(tokenizer: Tokenizer, text: str) -> list[str]:
    """What the pre-tokenizer cuts, in the characters of the text."""
    spans = (span for _, span in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    return [text[start:end] for start, end in spans]
