"""Bytes of tokens add up to the bytes of the text, for each kind of tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import Tokenizer

from training.reading.token_bytes import bytes_of_tokens

SPECIAL_TOKENS = ("<|endoftext|>", "<|padding|>", "<|mask|>")
TEXTS = [
    f"The river {name} feeds {n * 37} mills."
    for n, name in enumerate(["Aar", "Inn", "Ob", "Po", "Rh\u00f4ne", "\u0414\u043e\u043d"])
]


@pytest.mark.parametrize("kind", ["byte-level-bpe", "sentencepiece-bpe", "sentencepiece-unigram"])
def test_they_add_up_to_the_bytes_of_any_text(kind: str, tokenizer_of_kind: Callable[..., Tokenizer]) -> None:
    tokenizer = tokenizer_of_kind(kind, TEXTS, SPECIAL_TOKENS)
    sizes = bytes_of_tokens(tokenizer.to_str())
    assert len(sizes) == tokenizer.get_vocab_size()
    for text in (*TEXTS, "  two  spaces \n\n\tcafe\u0301 \u2581 \U0001f30a <unk> <0x41> \u0126", ""):
        assert sum(sizes[tokenizer.encode(text).ids]) == len(text.encode())
    assert [sizes[tokenizer.token_to_id(name)] for name in SPECIAL_TOKENS] == [0, 0, 0]
