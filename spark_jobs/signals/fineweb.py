"""FineWeb's own rules (Penedo et al. 2024, arXiv:2406.17557, section 3.6), computed as datatrove does; limits are those of its code.

FineWeb measures after C4 has removed lines; here the text is measured as it is.
"""

from __future__ import annotations

from spark_jobs.signals.signal import Limits, Signal, ratio
from spark_jobs.text.characters import TERMINAL_PUNCTUATION
from spark_jobs.text.repetition import repeated_items
from spark_jobs.text.text_view import TextView

_SOURCE = "Penedo et al. 2024, section 3.6"
_FAMILY = "fineweb"
SHORT_LINE = 30
"""Characters of the longest line that counts as short."""


def line_punct_ratio(view: TextView) -> float:
    return ratio(sum(line[-1] in TERMINAL_PUNCTUATION for line in view.filled_lines), len(view.filled_lines))


def short_line_ratio(view: TextView) -> float:
    return ratio(sum(len(line) <= SHORT_LINE for line in view.filled_lines), len(view.filled_lines))


def char_dup_ratio(view: TextView) -> float:
    _, characters = repeated_items(view.filled_lines)
    return ratio(characters, len(view.text) - view.text.count("\n"))


LINE_PUNCT_RATIO = Signal(
    family=_FAMILY,
    name="line_punct_ratio",
    type="double",
    description="fraction of lines, blank ones left out, that end in a terminal punctuation mark of any script",
    source=_SOURCE,
    measure=line_punct_ratio,
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
    measure=short_line_ratio,
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
    measure=char_dup_ratio,
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
    measure=lambda view: ratio(view.text.count("\n"), len(view.words)),
    default=Limits(max=0.3),
    examples=(("", 0.0), ("\n\n", 0.0), ("milk\neggs", 0.5)),
)

FINEWEB = (LINE_PUNCT_RATIO, SHORT_LINE_RATIO, CHAR_DUP_RATIO, LIST_RATIO)
