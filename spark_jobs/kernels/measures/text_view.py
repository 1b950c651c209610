"""One text and what the signals need of it, each made once, when a signal first asks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spark_jobs.kernels.measures.c4_lines import C4Lines, read_c4_lines
from spark_jobs.kernels.measures.character_classes import (
    NUMERIC,
    UPPERCASE,
    Flags,
    character_flags,
    count_before,
    word_bounds,
)
from spark_jobs.kernels.measures.characters import NOT_A_DIGIT, PUNCTUATION
from spark_jobs.kernels.measures.refinedweb_lines import LineFault, line_faults
from spark_jobs.kernels.measures.repetition import (
    Integers,
    ngram_characters,
    ngram_shares,
    repeated_items,
    repeated_with_first,
)
from spark_jobs.kernels.measures.words import split_words
from spark_jobs.kernels.privacy import pii_patterns
from spark_jobs.kernels.privacy.pii_context import Kind


def numbered(items: list[str]) -> tuple[dict[str, int], Integers]:
    """Each distinct item with a number, in order of first occurrence, and the number of each item."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    found = np.fromiter(map(numbers.__getitem__, items), dtype=np.int64, count=len(items))
    numbers.default_factory = None
    return numbers, found


@dataclass(frozen=True)
class TextView:
    """A text, with its words, lines and paragraphs made on demand."""

    text: str
    split: Callable[[str], list[str]] = split_words
    """The word splitter. It lets no token cross white space, so that what it finds in a part of the text is what it
    finds there in the whole."""

    @cached_property
    def lowered(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def words(self) -> list[str]:
        """All tokens, punctuation marks included."""
        return self.split(self.text)

    @cached_property
    def numbered_words(self) -> tuple[dict[str, int], Integers]:
        """`vocabulary` and `word_ids`. Each distinct stretch between white space is split once, wherever it occurs."""
        distinct, stretches = self.numbered_stretches
        words = self.split("\n".join(distinct))
        ends = np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)))
        ends_of_stretches = np.cumsum(np.fromiter(map(len, distinct), dtype=np.int64, count=len(distinct)))
        if len(words) == 0 or ends[-1] != ends_of_stretches[-1]:
            # A splitter that drops characters does not tell which word is of which stretch.
            return numbered(self.words)
        vocabulary, ids = numbered(words)
        after = np.searchsorted(ends, ends_of_stretches, side="right")
        counts = np.diff(after, prepend=0)
        repeats = counts[stretches]
        total = np.cumsum(repeats)
        # The words of the stretch at each place, as places in `ids`.
        return vocabulary, ids[np.arange(total[-1]) + np.repeat(after[stretches] - total, repeats)]

    @property
    def n_tokens(self) -> int:
        """How many tokens there are, punctuation marks included."""
        return len(self.word_ids)

    @property
    def vocabulary(self) -> dict[str, int]:
        """Each distinct token and its number, in order of first occurrence."""
        return self.numbered_words[0]

    @property
    def word_ids(self) -> Integers:
        """Number of each token in `vocabulary`, in the order of the text."""
        return self.numbered_words[1]

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
        if NOT_A_DIGIT in self.text:
            return np.fromiter(
                (not PUNCTUATION.issuperset(token) for token in self.vocabulary), dtype=bool, count=len(self.vocabulary)
            )
        # Letters and digits alone settle most tokens at the speed of C.
        words = np.fromiter(map(str.isalnum, self.vocabulary), dtype=bool, count=len(self.vocabulary))
        tokens = list(self.vocabulary)
        for i in np.flatnonzero(~words).tolist():
            words[i] = not PUNCTUATION.issuperset(tokens[i])
        return words

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
    def pii(self) -> dict[Kind, int]:
        """Items of personal information, by kind."""
        return pii_patterns.counts(self.text)

    @cached_property
    def c4_lines(self) -> C4Lines:
        return read_c4_lines(self.split_lines)

    @cached_property
    def text_after_c4(self) -> str:
        """The text as FineWeb's variant of C4 leaves it: without the lines that a rule removes, those without a
        terminal mark kept."""
        return "\n".join(self.c4_lines.kept).strip()

    @cached_property
    def filled_lines_after_c4(self) -> list[str]:
        """Lines of that text that are not blank."""
        return [line for line in self.text_after_c4.split("\n") if line and not line.isspace()]

    @cached_property
    def n_tokens_after_c4(self) -> int:
        """Tokens of that text, from those of the whole and of the lines that are not in it: it is not split once
        more."""
        lines = self.c4_lines
        lost = len(self.split("\n".join(lines.lost))) if lines.lost else 0
        return self.n_tokens - lost + (len(self.split("\n".join(lines.changed))) if lines.changed else 0)

    @cached_property
    def stretches(self) -> list[str]:
        """What is between white space, punctuation marks and all."""
        return self.text.split()

    @cached_property
    def numbered_stretches(self) -> tuple[dict[str, int], Integers]:
        """Each distinct stretch with its number, and the number of each stretch of the text."""
        return numbered(self.stretches)

    @cached_property
    def stretch_counts(self) -> Integers:
        """Occurrences of each distinct stretch."""
        distinct, numbers = self.numbered_stretches
        return np.bincount(numbers, minlength=len(distinct))

    def stretch_count(self, stretch: str) -> int:
        """Occurrences of one stretch."""
        number = self.numbered_stretches[0].get(stretch)
        return 0 if number is None else int(self.stretch_counts[number])

    @cached_property
    def flags(self) -> Flags:
        """What kind of character each one is, see `character_classes`."""
        return character_flags(self.text)

    @cached_property
    def stretch_bounds(self) -> tuple[Integers, Integers]:
        """Where the stretches start and end in the text."""
        return word_bounds(self.flags)

    @cached_property
    def stretch_lengths(self) -> Integers:
        """Characters of each stretch."""
        starts, ends = self.stretch_bounds
        return ends - starts

    @cached_property
    def stretch_ngram_shares(self) -> dict[int, float]:
        """Shares of characters in repeated n-grams of stretches, by n, as Dolma counts."""
        return ngram_shares(self.numbered_stretches[1], self.stretch_lengths)

    @cached_property
    def feed_lines(self) -> list[str]:
        """Lines between line feeds, blank ones too; none in an empty text."""
        return self.text.split("\n") if self.text else []

    @cached_property
    def repeated_feed_lines(self) -> tuple[int, int]:
        """Of these lines, how many occur more than once, all copies counted, and their characters."""
        return repeated_with_first(self.feed_lines)

    @cached_property
    def refinedweb_faults(self) -> list[LineFault]:
        """What RefinedWeb's rules on lines remove."""
        feeds = [len(line) + 1 for line in self.text.split("\n")]
        ends = np.cumsum(feeds) - 1
        starts = ends + 1 - feeds
        counts = (
            (before[ends] - before[starts]).tolist()
            for before in (count_before(self.flags, kind) for kind in (UPPERCASE, NUMERIC))
        )
        return list(line_faults(self.text, self.lowered, *counts))

    @cached_property
    def refinedweb_fault_counts(self) -> Counter[str]:
        """How many of them each rule has."""
        return Counter(fault.rule for fault in self.refinedweb_faults)
