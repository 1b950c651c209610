"""SentencePiece's models in the tokenizers library: the sentencepiece library is the oracle for ids, the text itself
for the way back."""

from __future__ import annotations

import gzip
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from spark_jobs.kernels.tokenization.sentencepiece_model import (
    SentencePieceError,
    as_tokenizer,
    sentences,
    train_sentencepiece,
)
from spark_jobs.kernels.tokenization.token_ids import END_OF_DOCUMENT, PADDING

TEXTS = [
    f"The river {name} carries {n * 37} barrels of water past town {n},\nand nobody counts them."
    for n, name in enumerate(["Aar", "Inn", "Ob", "Po"] * 10)
]
ALGORITHMS = pytest.mark.parametrize("algorithm", ["bpe", "unigram"])


def train(texts: list[str], vocabulary_size: int, algorithm: str, split_digits: bool = True) -> bytes:
    names = [END_OF_DOCUMENT, PADDING, "<|user|>"]
    return train_sentencepiece(
        texts,
        vocabulary_size,
        algorithm=algorithm,
        split_digits=split_digits,
        special_tokens=names,
        character_coverage=0.9995,
    )


@cache
def small(algorithm: str) -> tuple[SentencePieceProcessor, Tokenizer]:
    model = train(TEXTS, 450, algorithm)
    tokenizer = as_tokenizer(model)
    tokenizer.encode_special_tokens = True
    return SentencePieceProcessor(model_proto=model), tokenizer


def pieces_of(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text, add_special_tokens=False).tokens


@ALGORITHMS
@settings(max_examples=300, deadline=None)
@given(
    text=st.text()
    | st.text("abehrtvi <>|x0142\n\t\u2581\u00e9\x00", max_size=40)
    | st.sampled_from(["<0x41>", "<unk>", END_OF_DOCUMENT, "<|user|>"])
)
def test_any_text_survives_the_round_trip(algorithm, text):
    tokenizer = small(algorithm)[1]
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.text("abehrtvi <>|x0142\n\t\u00e9\x00", max_size=40))
def test_bpe_ids_are_those_of_the_library(text):
    library, tokenizer = small("bpe")
    text = text.replace("\u2581", "")
    assert tokenizer.encode(text).ids == library.encode(text)


@ALGORITHMS
def test_ids_are_those_of_the_library_on_113_languages(algorithm, shared_data):
    with gzip.open(shared_data / "text" / "tatoeba.tsv.gz", "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").partition("\t")[2] for line in file][::20]
    model = train(lines[::2], 6000, algorithm)
    tokenizer = as_tokenizer(model)
    ours = [encoding.ids for encoding in tokenizer.encode_batch_fast(lines)]
    theirs = SentencePieceProcessor(model_proto=model).encode(lines)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    # Unigram has ways of equal probability, up to rounding, and each library its own among them.
    assert same == len(lines) if algorithm == "bpe" else same >= 0.998 * len(lines)


@ALGORITHMS
def test_training_again_gives_the_same_model(algorithm):
    assert train(TEXTS, 450, algorithm) == train(TEXTS, 450, algorithm)


@ALGORITHMS
def test_the_first_ids_are_the_unknown_the_special_tokens_and_the_bytes(algorithm):
    tokenizer = small(algorithm)[1]
    assert [tokenizer.id_to_token(i) for i in (0, 1, 2, 3, 4, 259)] == [
        "<unk>",
        END_OF_DOCUMENT,
        PADDING,
        "<|user|>",
        "<0x00>",
        "<0xFF>",
    ]
    assert Tokenizer.from_str(tokenizer.to_str()).to_str() == tokenizer.to_str()


@ALGORITHMS
@pytest.mark.parametrize("name", ["<unk>", "<0x41>", END_OF_DOCUMENT, "<|user|>"])
def test_a_page_that_spells_out_a_piece_of_no_text_gets_its_characters(algorithm, name):
    tokenizer = small(algorithm)[1]
    for text in (name, f"river{name}", f" {name} {name}"):
        encoded = tokenizer.encode(text)
        assert "".join(encoded.tokens) == text
        assert name not in encoded.tokens


@ALGORITHMS
def test_rare_characters_are_written_in_bytes_and_frequent_ones_are_not(algorithm):
    tokenizer = small(algorithm)[1]
    assert pieces_of(tokenizer, "\u6c34") == ["<0xE6>", "<0xB0>", "<0xB4>"]
    assert pieces_of(tokenizer, "a\nb") == ["a", "<0x0A>", "b"]
    assert not [piece for piece in pieces_of(tokenizer, "The #river @ {town}~") if piece.startswith("<0x")]


@ALGORITHMS
def test_digits_are_split_where_asked(algorithm):
    many = [f"{n} {n} {n}" for n in (1234, 1235, 777)] * 50 + TEXTS
    assert pieces_of(as_tokenizer(train(many, 450, algorithm)), "1234")[-4:] == ["1", "2", "3", "4"]
    assert len(pieces_of(as_tokenizer(train(many, 450, algorithm, split_digits=False)), "1234")) < 4


def test_a_vocabulary_too_small_for_the_characters_says_so():
    with pytest.raises(
        SentencePieceError,
        match=r"a vocabulary of 300 cannot be trained: raise vocabulary_size or lower character_coverage",
    ):
        train(TEXTS, 300, "bpe")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\n", []),
        ("one\n two\r\n", ["one", " two\r"]),
        ("a" * 2500, ["a" * 1000, "a" * 1000, "a" * 500]),
        ("x" * 990 + " " + "y" * 20, ["x" * 990, " " + "y" * 20]),
    ],
)
def test_sentences_are_lines_of_bounded_length(text, expected):
    assert list(sentences(text)) == expected
