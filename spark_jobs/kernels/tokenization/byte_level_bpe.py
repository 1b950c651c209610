"""Byte-level BPE: any text goes in, and exactly that text comes out again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# The cut before merging of Radford et al. 2019 (section 2.2), with marks counted among the letters: without them the
# vowel signs of Indic scripts and of Thai part every word. A line end closes what stands before it, so that indentation
# begins with the line.
_CUT = r"'(?:[sdmt]|ll|ve|re)| ?[\p{L}\p{M}]+|%s| ?[^\s\p{L}\p{M}\p{N}]+|\s*[\r\n]|\s+(?!\S)|\s+"
_WHOLE_NUMBERS = r" ?\p{N}+"
_SINGLE_DIGITS = r"\p{N}"


def train_byte_level_bpe(
    texts: Iterable[str], vocabulary_size: int, *, split_digits: bool, special_tokens: Sequence[str]
) -> Tokenizer:
    """Learn merges from `texts`; the vocabulary is smaller than asked where the texts hold too few pairs. Special
    tokens get the first ids.

    Sennrich et al. 2016 (arXiv 1508.07909) on bytes as in Radford et al. 2019, section 2.2. Single digits as in
    Llama (arXiv 2302.13971, section 2.1).
    """
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(_CUT % (_SINGLE_DIGITS if split_digits else _WHOLE_NUMBERS)), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
