"""RedPajama-V2's measures of single lines (Weber et al. 2024, arXiv:2411.12372, and its published code
`rps_lines_*`)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from spark_jobs.kernels.measures.character_classes import (
    ALPHANUMERIC,
    NUMERIC,
    UPPERCASE,
    character_flags,
    count_before,
)

TERMINAL_MARKS: Final = (".", "!", "?", "\u201d")
BULLETS: Final = ("\u2022", "\u2023", "\u25b6", "\u25c0", "\u25e6", "\u25a0", "\u25a1", "\u25aa", "\u25ab", "\u2013")
_JAVASCRIPT = re.compile(r"\bjavascript\b", re.IGNORECASE)


class LineMeasures(NamedTuple):
    """One list for each measure, in the columns' order of `line_signals`, with an item for each line."""

    starts: list[int]
    ends_with_terminal_punctuation: list[bool]
    uppercase_letter_fraction: list[float]
    numerical_character_fraction: list[float]
    n_words: list[int]
    starts_with_bullet: list[bool]
    javascript_count: list[int]


def measure_lines(text: str) -> LineMeasures:
    """The measures of the lines between line feeds."""
    lines = text.split("\n") if text else []
    flags = character_flags(text)
    uppercase, digits, alphanumeric = (
        count_before(flags, kind).tolist() for kind in (UPPERCASE, NUMERIC, ALPHANUMERIC)
    )
    measures = LineMeasures([], [], [], [], [], [], [])
    start = 0
    for line in lines:
        end = start + len(line)
        measures.starts.append(start)
        measures.ends_with_terminal_punctuation.append(line.rstrip().endswith(TERMINAL_MARKS))
        measures.uppercase_letter_fraction.append((uppercase[end] - uppercase[start]) / len(line) if line else 0.0)
        measures.numerical_character_fraction.append((digits[end] - digits[start]) / len(line) if line else 0.0)
        # Punctuation is taken out before words are counted there, so that a stretch of marks alone is none.
        has_words = alphanumeric[end] > alphanumeric[start]
        measures.n_words.append(sum(any(map(str.isalnum, word)) for word in line.split()) if has_words else 0)
        measures.starts_with_bullet.append(line.lstrip().startswith(BULLETS))
        measures.javascript_count.append(len(_JAVASCRIPT.findall(line)))
        start = end + 1
    return measures
