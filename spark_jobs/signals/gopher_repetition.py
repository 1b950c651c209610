"""Gopher's repetition rules (Rae et al. 2021, arXiv:2112.11446, table A1), computed as datatrove does.

Second and later copies count as duplicates. Fractions of characters divide by the length of the whole text, white
space included.
"""

from __future__ import annotations

from spark_jobs.signals.signal import Limits, Signal, ratio

_SOURCE = "Rae et al. 2021, table A1"
_FAMILY = "gopher_repetition"
TOP_NGRAM_LIMITS = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE_NGRAM_LIMITS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

DUPLICATE_PARAGRAPH_FRACTION = Signal(
    family=_FAMILY,
    name="duplicate_paragraph_fraction",
    type="double",
    description="fraction of paragraphs that repeat an earlier one",
    source=_SOURCE,
    measure=lambda view: ratio(view.repeated_paragraphs[1], view.repeated_paragraphs[0]),
    default=Limits(max=0.30),
    at_most=1,
    examples=(("", 0.0), ("one\n\ntwo\n\none\n\none", 0.5)),
)

DUPLICATE_PARAGRAPH_CHARACTER_FRACTION = Signal(
    family=_FAMILY,
    name="duplicate_paragraph_character_fraction",
    type="double",
    description="fraction of characters in paragraphs that repeat an earlier one",
    source=_SOURCE,
    measure=lambda view: ratio(view.repeated_paragraphs[2], len(view.text)),
    default=Limits(max=0.20),
    at_most=1,
    examples=(("", 0.0), ("one\n\none", 3 / 8)),
)

DUPLICATE_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="duplicate_line_fraction",
    type="double",
    description="fraction of lines that repeat an earlier one",
    source=_SOURCE,
    measure=lambda view: ratio(view.repeated_lines[1], view.repeated_lines[0]),
    default=Limits(max=0.30),
    at_most=1,
    examples=(("", 0.0), ("one\none\n\ntwo\none", 0.5)),
)

DUPLICATE_LINE_CHARACTER_FRACTION = Signal(
    family=_FAMILY,
    name="duplicate_line_character_fraction",
    type="double",
    description="fraction of characters in lines that repeat an earlier one",
    source=_SOURCE,
    measure=lambda view: ratio(view.repeated_lines[2], len(view.text)),
    default=Limits(max=0.20),
    at_most=1,
    examples=(("", 0.0), ("one\none", 3 / 7)),
)


def _top_ngram(n: int, limit: float) -> Signal:
    return Signal(
        family=_FAMILY,
        name=f"top_{n}_gram_character_fraction",
        type="double",
        description=f"characters of all occurrences of the most frequent {n} words in a row, as a fraction of the "
        f"text; above 1 where they overlap",
        source=_SOURCE,
        measure=lambda view: ratio(view.repeated_ngrams[n], len(view.text)),
        default=Limits(max=limit),
        # Each character lies in at most n overlapping occurrences.
        at_most=n,
        examples=(("", 0.0), (" ".join(["a"] * (n + 1)), 2 * (2 * n - 1) / (2 * n + 1))),
    )


def _duplicate_ngrams(n: int, limit: float) -> Signal:
    return Signal(
        family=_FAMILY,
        name=f"duplicate_{n}_gram_character_fraction",
        type="double",
        description=f"characters, spaces left out, in {n} words in a row that occurred before, as a fraction of the "
        f"text",
        source=_SOURCE,
        measure=lambda view: ratio(view.repeated_ngrams[n], len(view.text)),
        default=Limits(max=limit),
        at_most=1,
        examples=(("", 0.0), (" ".join("abcdefghij"[:n] * 2), n / (4 * n - 1))),
    )


TOP_NGRAMS = tuple(_top_ngram(n, limit) for n, limit in TOP_NGRAM_LIMITS.items())
DUPLICATE_NGRAMS = tuple(_duplicate_ngrams(n, limit) for n, limit in DUPLICATE_NGRAM_LIMITS.items())

GOPHER_REPETITION = (
    DUPLICATE_PARAGRAPH_FRACTION,
    DUPLICATE_PARAGRAPH_CHARACTER_FRACTION,
    DUPLICATE_LINE_FRACTION,
    DUPLICATE_LINE_CHARACTER_FRACTION,
    *TOP_NGRAMS,
    *DUPLICATE_NGRAMS,
)
