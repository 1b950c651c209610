"""FineWeb's own rules (Penedo et al. 2024, arXiv:2406.17557, section 3.6), computed as datatrove does; limits are
those of its code.

Twice: `fineweb` on the text as it is, and `fineweb_after_c4` as FineWeb's pipeline ran them, on what C4's rules for
lines leave of the text when lines without a terminal mark are kept. FineWeb-2 ran them without C4.
"""

from __future__ import annotations

from dataclasses import replace

from spark_jobs.kernels.measures.characters import TERMINAL_PUNCTUATION
from spark_jobs.kernels.measures.repetition import repeated_items
from spark_jobs.signals.signal import Limits, Signal, ratio

_SOURCE = "Penedo et al. 2024, section 3.6"
_FAMILY = "fineweb"
SHORT_LINE = 30
"""Characters of the longest line that counts as short."""


def line_punct_ratio(lines: list[str]) -> float:
    return ratio(sum(line[-1] in TERMINAL_PUNCTUATION for line in lines), len(lines))


def short_line_ratio(lines: list[str]) -> float:
    return ratio(sum(len(line) <= SHORT_LINE for line in lines), len(lines))


def char_dup_ratio(lines: list[str], text: str) -> float:
    _, characters = repeated_items(lines)
    return ratio(characters, len(text) - text.count("\n"))


def list_ratio(text: str, tokens: int) -> float:
    return ratio(text.count("\n"), tokens)


LINE_PUNCT_RATIO = Signal(
    family=_FAMILY,
    name="line_punct_ratio",
    type="double",
    description="fraction of lines, blank ones left out, that end in a terminal punctuation mark of any script",
    source=_SOURCE,
    measure=lambda view: line_punct_ratio(view.filled_lines),
    default=Limits(min=0.12),
    at_most=1,
    examples=(("", 0.0), ("One.\n\nTwo\nThree. \n\u7d42\u3002", 0.5)),
)

SHORT_LINE_RATIO = Signal(
    family=_FAMILY,
    name="short_line_ratio",
    type="double",
    description="fraction of lines, blank ones left out, of at most 30 characters",
    source=_SOURCE,
    measure=lambda view: short_line_ratio(view.filled_lines),
    default=Limits(max=0.67),
    at_most=1,
    examples=(("", 0.0), ("a" * 30 + "\n" + "b" * 31, 0.5)),
)

CHAR_DUP_RATIO = Signal(
    family=_FAMILY,
    name="char_dup_ratio",
    type="double",
    description="fraction of characters, line feeds left out, in lines that repeat an earlier one",
    source=f"{_SOURCE}; the limit there is 0.1, in the published code 0.01",
    measure=lambda view: char_dup_ratio(view.filled_lines, view.text),
    default=Limits(max=0.01),
    at_most=1,
    examples=(("", 0.0), ("one\n\none", 0.5)),
)

LIST_RATIO = Signal(
    family=_FAMILY,
    name="list_ratio",
    type="double",
    description="line feeds for each token",
    source="FineWeb's published code",
    measure=lambda view: list_ratio(view.text, view.n_tokens),
    default=Limits(max=0.3),
    examples=(("", 0.0), ("\n\n", 0.0), ("milk\neggs", 0.5)),
)

FINEWEB = (LINE_PUNCT_RATIO, SHORT_LINE_RATIO, CHAR_DUP_RATIO, LIST_RATIO)

_AFTER_C4 = "fineweb_after_c4"

FINEWEB_AFTER_C4 = (
    replace(
        LINE_PUNCT_RATIO,
        family=_AFTER_C4,
        measure=lambda view: line_punct_ratio(view.filled_lines_after_c4),
        examples=(("", 0.0), ("This line ends.\nHome page\nThis one has no end [1]", 0.5)),
    ),
    replace(
        SHORT_LINE_RATIO,
        family=_AFTER_C4,
        measure=lambda view: short_line_ratio(view.filled_lines_after_c4),
        examples=(("", 0.0), ("one two three\none two\n" + "of some words " * 3, 0.5)),
    ),
    replace(
        CHAR_DUP_RATIO,
        family=_AFTER_C4,
        measure=lambda view: char_dup_ratio(view.filled_lines_after_c4, view.text_after_c4),
        examples=(("", 0.0), ("one two three\nhome\none two three\nhome", 0.5)),
    ),
    replace(
        LIST_RATIO,
        family=_AFTER_C4,
        measure=lambda view: list_ratio(view.text_after_c4, view.n_tokens_after_c4),
        examples=(("", 0.0), ("one two three\nhome\n\nfour five six[7]", 1 / 6)),
    ),
)
