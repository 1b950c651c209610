"""SentencePiece's BPE and Unigram with byte fallback: trained by the sentencepiece library, run by the tokenizers
library.

Kudo and Richardson 2018 (arXiv 1808.06226); Unigram is Kudo 2018 (arXiv 1804.10959). Nothing is normalised, and no
space is put before a text. The library writes a space as U+2581 and so confuses the two; in the tokenizer made here
a space stays a space. So every text comes back exactly, and a text without U+2581 gets the library's own ids but for
rare ties (BPE: pieces that overlap; Unigram: ways of equal probability).
"""

from __future__ import annotations

import io
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

UNKNOWN = "<unk>"
"""The library wants such a piece; byte fallback sees to it that no text ever gets it."""
_SPACE = "\u2581"
_LONGEST_SENTENCE = 1000
"""Characters. At four bytes each that is below the 4,192 bytes beyond which the trainer leaves a sentence out."""
_NEVER = -10_000.0
"""A log-probability below that of any text as long as the name of a piece, so that a page which spells the name out
gets its characters."""
_THREADS = 16
"""Sums of floats depend on it, so it is not the number of cores."""


class SentencePieceError(ValueError):
    """The trainer refused; the message says what to change."""


def train_sentencepiece(
    texts: Iterable[str],
    vocabulary_size: int,
    *,
    algorithm: Literal["bpe", "unigram"],
    split_digits: bool,
    special_tokens: Sequence[str],
    character_coverage: float,
) -> bytes:
    """A SentencePiece model: id 0 is for the unknown, then special tokens, the 256 bytes, and learnt pieces; fewer
    of these where the texts hold too few.

    `character_coverage` is the share of the texts' characters, by frequency, that get pieces of their own; the rest
    is written in bytes. Raises `SentencePieceError` where the vocabulary is too small for these characters.
    """
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=(sentence for text in texts for sentence in sentences(text)),
            model_writer=model,
            model_type=algorithm,
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            byte_fallback=True,
            character_coverage=character_coverage,
            # No piece that is spelt in printable ASCII ever needs bytes, nor can be taken for one of the names above.
            required_chars=string.digits + string.ascii_letters + string.punctuation,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            allow_whitespace_only_pieces=True,
            split_digits=split_digits,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            unk_piece=UNKNOWN,
            control_symbols=list(special_tokens),
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise SentencePieceError(
            f"a vocabulary of {vocabulary_size} cannot be trained: raise vocabulary_size or lower character_coverage "
            f"({reason})"
        ) from None
    return model.getvalue()


def sentences(text: str) -> Iterator[str]:
    """Lines of the text without their ends, long ones cut at a space where there is one; none empty."""
    for line in text.split("\n"):
        start = 0
        while len(line) - start > _LONGEST_SENTENCE:
            space = line.rfind(" ", start + 1, start + _LONGEST_SENTENCE)
            end = space if space > 0 else start + _LONGEST_SENTENCE
            yield line[start:end]
            start = end
        if start < len(line):
            yield line[start:]


def as_tokenizer(model: bytes) -> Tokenizer:
    """The same pieces with the same ids, for the tokenizers library."""
    processor = SentencePieceProcessor(model_proto=model)
    ids = range(processor.get_piece_size())
    names = [processor.id_to_piece(i).replace(_SPACE, " ") for i in ids]
    learnt = [i for i in ids if not (processor.is_unknown(i) or processor.is_control(i) or processor.is_byte(i))]
    if _is_bpe(processor, learnt):
        tokenizer = Tokenizer(
            models.BPE(
                vocab={name: i for i, name in enumerate(names)},
                merges=merges([names[i] for i in learnt]),
                unk_token=UNKNOWN,
                byte_fallback=True,
            )
        )
    else:
        # Nine digits tell 32-bit numbers apart, and every reader of JSON takes so few for the same number.
        scores = dict.fromkeys(ids, _NEVER) | {i: float(f"{processor.get_score(i):.9g}") for i in learnt}
        tokenizer = Tokenizer(models.Unigram(vocab=[(names[i], scores[i]) for i in ids], unk_id=0, byte_fallback=True))
    # No piece goes beyond a line, nor from a word over the space after it, so that cutting there changes nothing but
    # speed.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" *[^ \n]+| +|\n"), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(
        [AddedToken(names[i], normalized=False, special=True) for i in ids if processor.is_control(i)]
    )
    return tokenizer


def merges(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of pieces that joins to a piece, those of earlier pieces first: SentencePiece's BPE joins whatever
    makes the earliest piece."""
    known = set(pieces)
    halves = ((piece[:cut], piece[cut:]) for piece in pieces for cut in range(1, len(piece)))
    return [(left, right) for left, right in halves if left in known and right in known]


def _is_bpe(processor: SentencePieceProcessor, learnt: Sequence[int]) -> bool:
    """Scores of BPE are ranks: 0, -1, -2, and so on."""
    return all(processor.get_score(i) == -float(rank) for rank, i in enumerate(learnt))
