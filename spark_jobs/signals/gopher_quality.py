"""Gopher's quality rules (Rae et al. 2021, arXiv:2112.11446, appendix A.1, "Quality Filtering"), computed as
datatrove does.

Words are tokens with a character that is no punctuation; the ratios of symbols and of alphabetic words divide by all
tokens.
"""

from __future__ import annotations

import numpy as np

from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.signals.signal import Limits, Signal, ratio

_SOURCE = "Rae et al. 2021, appendix A.1, Quality Filtering"
_FAMILY = "gopher_quality"
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})


def mean_word_length(view: TextView) -> float:
    characters = (view.vocabulary_lengths * view.vocabulary_counts)[view.is_word].sum()
    return ratio(int(characters), view.n_words)


def bullet_line_fraction(view: TextView) -> float:
    bullets = sum(line.lstrip().startswith(("\u2022", "-")) for line in view.split_lines)
    return ratio(bullets, len(view.split_lines))


def ellipsis_line_fraction(view: TextView) -> float:
    open_ends = sum(line.rstrip().endswith(("...", "\u2026")) for line in view.split_lines)
    return ratio(open_ends, len(view.split_lines))


def alphabetic_word_fraction(view: TextView) -> float:
    tokens = list(view.vocabulary)
    # A token that is all letters is settled at the speed of C; the others are few.
    alphabetic = np.fromiter(map(str.isalpha, tokens), dtype=bool, count=len(tokens))
    for i in np.flatnonzero(~alphabetic).tolist():
        alphabetic[i] = any(map(str.isalpha, tokens[i]))
    return ratio(int(view.vocabulary_counts[alphabetic].sum()), view.n_tokens)


WORD_COUNT = Signal(
    family=_FAMILY,
    name="word_count",
    type="long",
    description="words, punctuation marks left out",
    source=_SOURCE,
    measure=lambda view: view.n_words,
    default=Limits(min=50, max=100_000),
    examples=(("", 0), ("Stop, now!", 2), ("It's 3.14...", 3)),
)

MEAN_WORD_LENGTH = Signal(
    family=_FAMILY,
    name="mean_word_length",
    type="double",
    description="mean number of characters of a word",
    source=_SOURCE,
    measure=mean_word_length,
    default=Limits(min=3, max=10),
    examples=(("", 0.0), ("...", 0.0), ("to be, or", 2.0)),
)

HASH_RATIO = Signal(
    family=_FAMILY,
    name="hash_ratio",
    type="double",
    description="hash signs for each token",
    source=_SOURCE,
    measure=lambda view: ratio(view.text.count("#"), view.n_tokens),
    default=Limits(max=0.1),
    examples=(("", 0.0), ("# one", 0.5)),
)

ELLIPSIS_RATIO = Signal(
    family=_FAMILY,
    name="ellipsis_ratio",
    type="double",
    description="ellipses, as three dots or as one character, for each token",
    source=_SOURCE,
    measure=lambda view: ratio(view.text.count("...") + view.text.count("\u2026"), view.n_tokens),
    default=Limits(max=0.1),
    examples=(("", 0.0), ("well...", 0.5), ("well\u2026 yes", 1 / 3)),
)

BULLET_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="bullet_line_fraction",
    type="double",
    description="fraction of lines that start with a bullet or a hyphen",
    source=_SOURCE,
    measure=bullet_line_fraction,
    default=Limits(max=0.9),
    at_most=1,
    examples=(("", 0.0), ("- one\n \u2022 two\nthree\nfour", 0.5)),
)

ELLIPSIS_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="ellipsis_line_fraction",
    type="double",
    description="fraction of lines that end in an ellipsis",
    source=_SOURCE,
    measure=ellipsis_line_fraction,
    default=Limits(max=0.3),
    at_most=1,
    examples=(("", 0.0), ("read on... \nthe end.", 0.5)),
)

ALPHABETIC_WORD_FRACTION = Signal(
    family=_FAMILY,
    name="alphabetic_word_fraction",
    type="double",
    description="fraction of tokens with a letter in them",
    source=_SOURCE,
    measure=alphabetic_word_fraction,
    default=Limits(min=0.8),
    at_most=1,
    examples=(("", 0.0), ("a1 2 , b", 0.5)),
)

STOP_WORD_COUNT = Signal(
    family=_FAMILY,
    name="stop_word_count",
    type="long",
    description="how many of `the be to of and that have with` occur, in lower case",
    source=_SOURCE,
    measure=lambda view: len(STOP_WORDS & view.vocabulary.keys()),
    default=Limits(min=2),
    at_most=len(STOP_WORDS),
    examples=(("", 0), ("The cat and the dog", 2)),
)

GOPHER_QUALITY = (
    WORD_COUNT,
    MEAN_WORD_LENGTH,
    HASH_RATIO,
    ELLIPSIS_RATIO,
    BULLET_LINE_FRACTION,
    ELLIPSIS_LINE_FRACTION,
    ALPHABETIC_WORD_FRACTION,
    STOP_WORD_COUNT,
)
