"""Token ids of documents as the lake stores them, by a tokenizer of whatever kind."""

from __future__ import annotations

import hashlib

import numpy as np
from tokenizers import Tokenizer

END_OF_DOCUMENT = "<|endoftext|>"
PADDING = "<|padding|>"


def tokenizer_fingerprint(definition: str) -> str:
    """SHA-256, in hex, of the tokenizer's JSON."""
    return hashlib.sha256(definition.encode()).hexdigest()


def token_type(vocabulary_size: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """The stored type of a token id: two bytes where they are enough."""
    return np.dtype("<u2") if vocabulary_size <= 1 << 16 else np.dtype("<u4")


def encode_documents(tokenizer: Tokenizer, texts: list[str], end_of_document_id: int) -> list[bytes]:
    """Token ids of each text, closed by the end-of-document id, as little-endian bytes.

    A text that spells out a special token gets the tokens of its characters: pages must not be able to forge a
    document boundary.
    """
    dtype = token_type(tokenizer.get_vocab_size())
    tokenizer.encode_special_tokens = True
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [np.asarray([*encoding.ids, end_of_document_id], dtype=dtype).tobytes() for encoding in encodings]
