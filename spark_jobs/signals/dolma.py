"""Gopher's rules as Dolma defines them (Soldaini et al. 2024, arXiv:2402.00159, section 3.1.2, and its published
tagger `gopher_v1`); limits of Dolma v1.5.

They share names with `gopher_quality` and `gopher_repetition`, but not values: words are what is between white
space, the word length is a median, all copies of a line or n-gram count and not only the later ones, blank lines
count as lines, and shares of characters divide by the characters of words.
"""

from __future__ import annotations

import numpy as np

from spark_jobs.kernels.measures.character_classes import ALPHABETIC, SYMBOL, count_before
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.signals.gopher_quality import STOP_WORDS
from spark_jobs.signals.gopher_repetition import DUPLICATE_NGRAM_LIMITS, TOP_NGRAM_LIMITS
from spark_jobs.signals.signal import Limits, Signal, ratio

_SOURCE = "Dolma v1.5, gopher_v1"
_FAMILY = "dolma"


def fraction_of_words_with(view: TextView, kind: int) -> float:
    """Of the words, those with a character of the kind."""
    before = count_before(view.flags, kind)
    starts, ends = view.stretch_bounds
    return ratio(int(np.count_nonzero(before[ends] > before[starts])), len(starts))


def median_word_length(view: TextView) -> float:
    ordered = np.sort(view.stretch_lengths)
    middle = len(ordered) // 2
    return float(ordered[middle] + ordered[~middle]) / 2 if len(ordered) else 0.0


WORD_COUNT = Signal(
    family=_FAMILY,
    name="word_count",
    type="long",
    description="words between white space",
    source=_SOURCE,
    measure=lambda view: len(view.stretches),
    default=Limits(min=50, max=100_000),
    examples=(("", 0), ("Stop, now !", 3)),
)

MEDIAN_WORD_LENGTH = Signal(
    family=_FAMILY,
    name="median_word_length",
    type="double",
    description="median number of characters of a word",
    source=_SOURCE,
    measure=median_word_length,
    default=Limits(min=3, max=10),
    examples=(("", 0.0), ("a bcd, efghijklm", 4.0), ("a bcd", 2.0)),
)

SYMBOL_WORD_FRACTION = Signal(
    family=_FAMILY,
    name="symbol_word_fraction",
    type="double",
    description="fraction of words with a hash sign or an ellipsis character",
    source=_SOURCE,
    measure=lambda view: fraction_of_words_with(view, SYMBOL),
    default=Limits(max=0.1),
    at_most=1,
    examples=(("", 0.0), ("#one two\u2026 three... four", 0.5)),
)

ALPHABETIC_WORD_FRACTION = Signal(
    family=_FAMILY,
    name="alphabetic_word_fraction",
    type="double",
    description="fraction of words with a letter in them",
    source=_SOURCE,
    measure=lambda view: fraction_of_words_with(view, ALPHABETIC),
    default=Limits(min=0.8),
    at_most=1,
    examples=(("", 0.0), ("a1 2 -- b", 0.5)),
)

REQUIRED_WORD_COUNT = Signal(
    family=_FAMILY,
    name="required_word_count",
    type="long",
    description="occurrences of `the be to of and that have with`, in lower case",
    source=_SOURCE,
    measure=lambda view: sum(view.stretch_count(word) for word in STOP_WORDS),
    default=Limits(min=2),
    examples=(("", 0), ("The cat and the dog and, be", 3)),
)

BULLET_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="bullet_line_fraction",
    type="double",
    description="fraction of lines that start with an asterisk or a hyphen",
    source=_SOURCE,
    measure=lambda view: ratio(sum(line.startswith(("*", "-")) for line in view.feed_lines), len(view.feed_lines)),
    default=Limits(max=0.9),
    at_most=1,
    examples=(("", 0.0), ("* one\n-two\n - three\nfour", 0.5)),
)

ELLIPSIS_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="ellipsis_line_fraction",
    type="double",
    description="fraction of lines that end in an ellipsis character",
    source=_SOURCE,
    measure=lambda view: ratio(sum(line.endswith("\u2026") for line in view.feed_lines), len(view.feed_lines)),
    default=Limits(max=0.3),
    at_most=1,
    examples=(("", 0.0), ("read on\u2026\nthe end...", 0.5)),
)

DUPLICATE_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="duplicate_line_fraction",
    type="double",
    description="fraction of lines, blank ones among them, that occur more than once",
    source=_SOURCE,
    measure=lambda view: ratio(view.repeated_feed_lines[0], len(view.feed_lines)),
    default=Limits(max=0.3),
    at_most=1,
    examples=(("", 0.0), ("one\ntwo\none\nthree", 0.5)),
)

DUPLICATE_LINE_CHARACTER_RATIO = Signal(
    family=_FAMILY,
    name="duplicate_line_character_ratio",
    type="double",
    description="characters, spaces included, of lines that occur more than once, for each character of a word",
    source=f"{_SOURCE}; Gopher's own limit is 0.2",
    measure=lambda view: ratio(view.repeated_feed_lines[1], int(view.stretch_lengths.sum())),
    default=Limits(max=0.3),
    examples=(("", 0.0), ("one\none\nseven.", 0.5)),
)


def _top_ngram(n: int, limit: float) -> Signal:
    return Signal(
        family=_FAMILY,
        name=f"top_{n}_gram_character_fraction",
        type="double",
        description=f"characters of all occurrences of the most frequent {n} words in a row, as a fraction of those of "
        f"all words; above 1 where they overlap",
        source=_SOURCE,
        measure=lambda view: view.stretch_ngram_shares[n],
        default=Limits(max=limit),
        # Each character lies in at most n overlapping occurrences.
        at_most=n,
        examples=(("", 0.0), (" ".join(["a"] * (n + 1)), 2 * n / (n + 1))),
    )


def _duplicate_ngrams(n: int, limit: float) -> Signal:
    return Signal(
        family=_FAMILY,
        name=f"duplicate_{n}_gram_character_fraction",
        type="double",
        description=f"characters in {n} words in a row that occur more than once, all copies counted, as a fraction of "
        f"those of all {n} words in a row",
        source=_SOURCE,
        measure=lambda view: view.stretch_ngram_shares[n],
        default=Limits(max=limit),
        at_most=1,
        examples=(("", 0.0), (" ".join("abcdefghij"[:n] * 2), 2 / (n + 1))),
    )


DOLMA = (
    WORD_COUNT,
    MEDIAN_WORD_LENGTH,
    SYMBOL_WORD_FRACTION,
    ALPHABETIC_WORD_FRACTION,
    REQUIRED_WORD_COUNT,
    BULLET_LINE_FRACTION,
    ELLIPSIS_LINE_FRACTION,
    DUPLICATE_LINE_FRACTION,
    DUPLICATE_LINE_CHARACTER_RATIO,
    *(_top_ngram(n, limit) for n, limit in TOP_NGRAM_LIMITS.items()),
    *(_duplicate_ngrams(n, limit) for n, limit in DUPLICATE_NGRAM_LIMITS.items()),
)
