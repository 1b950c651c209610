"""How many bytes of text each token id stands for: what bits per byte are counted with, exactly and without
decoding."""

from __future__ import annotations

import json
import re

import numpy as np
from tokenizers import Tokenizer

BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
SPACE = "\u2581"
"""How SentencePiece writes a space."""


def bytes_of_tokens(definition: str) -> np.ndarray:
    """int64 [vocabulary]: bytes of UTF-8 of each id of a tokenizer, given as JSON; 0 for special tokens, which stand
    for no text.

    In byte-level tokenizers each character of a token is a byte; in the others a token is its text, but for the 256
    that are bytes.
    """
    tokenizer = Tokenizer.from_str(definition)
    parts = json.loads(definition)
    decoder = json.dumps(parts.get("decoder"), ensure_ascii=False)
    special = {token["content"] for token in parts.get("added_tokens", ()) if token["special"]} | {
        parts["model"].get("unk_token"),
        "<unk>",
    }
    added = {token["content"] for token in parts.get("added_tokens", ())}
    sizes = np.zeros(tokenizer.get_vocab_size(with_added_tokens=True), np.int64)
    for token, number in tokenizer.get_vocab(with_added_tokens=True).items():
        if token in special:
            continue
        if token in added:
            sizes[number] = len(token.encode())
        elif '"ByteLevel"' in decoder:
            sizes[number] = len(token)
        elif BYTE_PIECE.fullmatch(token):
            sizes[number] = 1
        else:
            sizes[number] = len((token.replace(SPACE, " ") if SPACE in decoder else token).encode())
    return sizes
