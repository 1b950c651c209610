"""One text and what the signals need of it, each made once, when a signal first asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spark_jobs.text.c4_lines import C4Lines, read_c4_lines
from spark_jobs.text.characters import PUNCTUATION
from spark_jobs.text.repetition import Integers, ngram_characters, repeated_items
from spark_jobs.text.words import split_words


@dataclass(frozen=True)
class TextView:
    """A text, with its words, lines and paragraphs made on demand."""

    text: str
    split: Callable[[str], list[str]] = split_words
    """The word splitter. It lets no token cross white space, so that what it finds in a part of the text is what it finds there in the whole."""

    @cached_property
    def words(self) -> list[str]:
        """All tokens, punctuation marks included."""
        return self.split(self.text)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Each distinct token and its number, in order of first occurrence."""
        distinct = dict.fromkeys(self.words)
        return dict(zip(distinct, range(len(distinct)), strict=True))

    @cached_property
    def word_ids(self) -> Integers:
        """Number of each token in `vocabulary`, in the order of the text."""
        return np.fromiter(map(self.vocabulary.__getitem__, self.words), dtype=np.int64, count=len(self.words))

    @cached_property
    def vocabulary_lengths(self) -> Integers:
        """Characters of each distinct token."""
        return np.fromiter(map(len, self.vocabulary), dtype=np.int64, count=len(self.vocabulary))

    @cached_property
    def vocabulary_counts(self) -> Integers:
        """Occurrences of each distinct token."""
        return np.bincount(self.word_ids, minlength=len(self.vocabulary))

    @cached_property
    def is_word(self) -> np.ndarray:
        """Whether each distinct token has a character that is no punctuation."""
        return np.fromiter((not PUNCTUATION.issuperset(token) for token in self.vocabulary), dtype=bool, count=len(self.vocabulary))

    @cached_property
    def n_words(self) -> int:
        """Tokens that are words, not symbols."""
        return int(self.vocabulary_counts[self.is_word].sum())

    @cached_property
    def split_lines(self) -> list[str]:
        """Lines between any of Python's line boundaries."""
        return self.text.splitlines()

    @cached_property
    def filled_lines(self) -> list[str]:
        """Lines between line feeds that are not blank."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]

    @cached_property
    def repeated_lines(self) -> tuple[int, int, int]:
        """Lines between runs of line feeds, the copies among them, and the characters of the copies."""
        lines = [line for line in self.text.split("\n") if line]
        # A run at an end of the text has an empty line beyond it.
        lines += [""] * (self.text.startswith("\n") + self.text.endswith("\n"))
        return len(lines), *repeated_items(lines)

    @cached_property
    def repeated_paragraphs(self) -> tuple[int, int, int]:
        """Stretches between two or more line feeds, the copies among them, and the characters of the copies."""
        stretches = self.text.strip().split("\n\n")
        paragraphs = [paragraph for stretch in stretches if (paragraph := stretch.lstrip("\n"))]
        return len(paragraphs), *repeated_items(paragraphs)

    @cached_property
    def repeated_ngrams(self) -> dict[int, int]:
        """Characters in repeated word n-grams, by n."""
        return ngram_characters(self.word_ids, self.vocabulary_lengths[self.word_ids])

    @cached_property
    def c4_lines(self) -> C4Lines:
        return read_c4_lines(self.split_lines)

    @cached_property
    def text_after_c4(self) -> str:
        """The text as FineWeb's variant of C4 leaves it: without the lines that a rule removes, those without a terminal mark kept."""
        return "\n".join(self.c4_lines.kept).strip()

    @cached_property
    def filled_lines_after_c4(self) -> list[str]:
        """Lines of that text that are not blank."""
        return [line for line in self.text_after_c4.split("\n") if line and not line.isspace()]

    @cached_property
    def n_tokens_after_c4(self) -> int:
        """Tokens of that text, from those of the whole and of the lines that are not in it: it is not split once more."""
        lines = self.c4_lines
        lost = len(self.split("\n".join(lines.lost))) if lines.lost else 0
        return len(self.words) - lost + (len(self.split("\n".join(lines.changed))) if lines.changed else 0)
