"""KenLM language models (Heafield 2011, "KenLM: faster and smaller language model queries"): the only importer of
`kenlm`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import kenlm

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import file_sha256
from spark_jobs.kernels.models.model_card import ModelCard, card_path, read_card
from spark_jobs.kernels.models.normal_text import normal_text, word_line

WORDS = "words"


class Percentile(Config):
    """A point of the distribution of perplexities over the hold-out."""

    percentile: int
    """Percent of the hold-out's documents at or below it."""
    perplexity: float


class LanguageModelCard(ModelCard):
    """The card of a language model. One for a model of others needs `kind`, `normalisation` and `tokenizer`."""

    kind: Literal["perplexity"]
    normalisation: Literal["ccnet", "none"] = "ccnet"
    """How a text is changed before it is split: as in CCNet, or not at all."""
    tokenizer: str = WORDS
    """`words` for words and marks, or the name of a SentencePiece model in the same folder."""
    tokenizer_sha256: str | None = None
    """Of the SentencePiece model."""
    percentiles: tuple[Percentile, ...] = ()
    """Perplexities of the hold-out, to choose limits from."""


class LanguageModel:
    """A language model in memory, with the preparation of text that its card states."""

    def __init__(self, path: Path) -> None:
        self.card = require_language_model(path)
        self.prepare = Preparation(self.card, path.parent)
        self._model = kenlm.Model(str(path))

    def perplexity(self, text: str) -> float | None:
        """`10 ** (-score / n)` over all lines, n the tokens and one end a line (CCNet, section 3.3); None where the
        text has no token."""
        score, length = 0.0, 0
        for line in self.prepare.lines(text):
            score += self._model.score(line, bos=True, eos=True)
            length += line.count(" ") + 2
        return math.pow(10.0, -score / length) if length else None


class Preparation:
    """From a text to the lines of space-separated tokens that a language model is trained on and asked about."""

    def __init__(self, card: LanguageModelCard, folder: Path) -> None:
        self._normalise = card.normalisation == "ccnet"
        self._pieces = None if card.tokenizer == WORDS else _load_pieces(folder / card.tokenizer)

    def lines(self, text: str) -> list[str]:
        """Lines with at least one token, tokens joined by single spaces."""
        lines = (normal_text(text) if self._normalise else text).split("\n")
        if self._pieces is None:
            prepared = [word_line(line) for line in lines]
        else:
            prepared = [" ".join(pieces) for pieces in self._pieces.encode(lines, out_type=str)]
        return [line for line in prepared if line]


def require_language_model(path: Path) -> LanguageModelCard:
    """The card of a model that can be loaded; raises `UsageError` where the file, the card or its tokenizer is
    missing."""
    if not path.is_file():
        raise UsageError(f"{path}: no such language model")
    card = read_card(path, LanguageModelCard)
    if card is None:
        example = '{"kind": "perplexity", "normalisation": "ccnet", "tokenizer": "en.sp.model"}'
        raise UsageError(
            f"{path}: its card {card_path(path).name} is missing, which says how text is prepared, such as {example}"
        )
    if card.tokenizer != WORDS and not (path.parent / card.tokenizer).is_file():
        raise UsageError(f"{path}: its tokenizer {card.tokenizer} is not beside it")
    return card


def files_of_language_model(path: Path) -> list[Path]:
    """The files that the scores depend on; the errors of `require_language_model`."""
    card = require_language_model(path)
    return [path, card_path(path), *([path.parent / card.tokenizer] if card.tokenizer != WORDS else [])]


def language_model_files(path: Path) -> dict[str, str]:
    """Each file that the scores depend on, with its SHA-256. Raises `UsageError` where the model is not the one that
    its card describes."""
    card = require_language_model(path)
    hashes = {str(file): file_sha256(file) for file in files_of_language_model(path)}
    if card.sha256 and card.sha256 != hashes[str(path)]:
        raise UsageError(
            f"{path}: not the model that its card describes: SHA-256 {hashes[str(path)]} is not {card.sha256}"
        )
    return hashes


def _load_pieces(path: Path):  # type: ignore[no-untyped-def]
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(path))
