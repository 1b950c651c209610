"""Bytes of tokens add up to the bytes of the text, for each kind of tokenizer."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from training.reading.token_bytes import bytes_of_tokens

SPECIAL_TOKENS = ("<|endoftext|>", "<|padding|>", "<|mask|>")
TEXTS = [f"The river {name} feeds {n * 37} mills." for n, name in enumerate(["Aar", "Inn", "Ob", "Po", "Rh\u00f4ne", "\u0414\u043e\u043d"])]


def trained(kind: str) -> Tokenizer:
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install headwater[spark]")
    from spark_jobs.text.tokenization.byte_level_bpe import train_byte_level_bpe
    from spark_jobs.text.tokenization.sentencepiece_model import as_tokenizer, train_sentencepiece

    if kind == "byte-level-bpe":
        return train_byte_level_bpe(TEXTS, 400, split_digits=True, special_tokens=SPECIAL_TOKENS)
    options = {"split_digits": True, "special_tokens": SPECIAL_TOKENS, "character_coverage": 1.0}
    return as_tokenizer(train_sentencepiece(TEXTS, 480, algorithm="bpe" if kind == "sentencepiece-bpe" else "unigram", **options))


@pytest.mark.parametrize("kind", ["byte-level-bpe", "sentencepiece-bpe", "sentencepiece-unigram"])
def test_they_add_up_to_the_bytes_of_any_text(kind: str) -> None:
    tokenizer = trained(kind)
    sizes = bytes_of_tokens(tokenizer.to_str())
    assert len(sizes) == tokenizer.get_vocab_size()
    for text in (*TEXTS, "  two  spaces \n\n\tcafe\u0301 \u2581 \U0001f30a <unk> <0x41> \u0126", ""):
        assert sum(sizes[tokenizer.encode(text).ids]) == len(text.encode())
    assert [sizes[tokenizer.token_to_id(name)] for name in SPECIAL_TOKENS] == [0, 0, 0]
