"""Byte-level BPE: any text goes in, and exactly that text comes out again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_DOCUMENT = "<|endoftext|>"
PADDING = "<|padding|>"


def train_byte_level_bpe(texts: Iterable[str], vocabulary_size: int, *, split_digits: bool) -> Tokenizer:
    """Learn merges from `texts`; the vocabulary is smaller than asked where the texts hold too few pairs.

    Sennrich et al. 2016 (arXiv 1508.07909) on bytes as in Radford et al. 2019, section 2.2. Single digits as in Llama (arXiv 2302.13971, section 2.1).
    """
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]) if split_digits else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_DOCUMENT, PADDING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokenizer_fingerprint(definition: str) -> str:
    """SHA-256, in hex, of the tokenizer's JSON."""
    return hashlib.sha256(definition.encode()).hexdigest()


def token_type(vocabulary_size: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """The stored type of a token id: two bytes where they are enough."""
    return np.dtype("<u2") if vocabulary_size <= 1 << 16 else np.dtype("<u4")


def encode_documents(tokenizer: Tokenizer, texts: list[str], end_of_document_id: int) -> list[bytes]:
    """Token ids of each text, closed by the end-of-document id, as little-endian bytes.

    A text that spells out a special token gets its plain bytes' tokens: pages must not be able to forge a document boundary.
    """
    dtype = token_type(tokenizer.get_vocab_size())
    tokenizer.encode_special_tokens = True
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [np.asarray([*encoding.ids, end_of_document_id], dtype=dtype).tobytes() for encoding in encodings]
