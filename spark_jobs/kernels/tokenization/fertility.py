"""How finely a tokenizer cuts a language: tokens a word and bytes a token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer

from spark_jobs.kernels.measures.words import split_words


@dataclass(frozen=True)
class Fertility:
    """Sizes of some texts; `words` are those of `split_words`: punctuation marks are words, and in Chinese each
    character is one."""

    tokens: int
    words: int
    text_bytes: int

    @property
    def tokens_per_word(self) -> float:
        """Fertility as in Rust et al. 2021 (arXiv 2012.15613, section 3.2); texts without any word count as one."""
        return self.tokens / max(1, self.words)

    @property
    def bytes_per_token(self) -> float:
        """Compression; no tokens at all count as one."""
        return self.text_bytes / max(1, self.tokens)


def fertility(tokenizer: Tokenizer, texts: Iterable[str]) -> Fertility:
    """Encode the texts as `encode_documents` does, but without closing tokens, and count."""
    texts = list(texts)
    tokenizer.encode_special_tokens = True
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    return Fertility(tokens, sum(len(split_words(text)) for text in texts), sum(len(text.encode()) for text in texts))
