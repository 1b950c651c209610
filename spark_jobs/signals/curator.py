"""NeMo Curator's heuristics for English (its configuration heuristic_filter_english_pipeline.yaml and filters),
where they differ from Gopher's.

Sentences are lines here; Curator splits by a trained model. Its limits on words, ellipses, bullets and n-grams are
Gopher's.
"""

from __future__ import annotations

import re

import numpy as np

from spark_jobs.kernels.measures.c4_lines import END_MARKS, POLICY_PHRASES
from spark_jobs.kernels.measures.character_classes import ALPHANUMERIC, NUMERIC, PARENTHESIS, SPACE
from spark_jobs.kernels.measures.text_view import TextView
from spark_jobs.signals.signal import Limits, Signal, ratio

_SOURCE = "NeMo Curator, heuristic filters"
_FAMILY = "curator"

_URL = re.compile(r"https?://[-\w@:%.+~#=()?&/]+", re.ASCII)


def fraction_of(view: TextView, kind: int) -> float:
    """Of the characters, those of the kind."""
    return ratio(int(np.count_nonzero(view.flags & kind)), len(view.text))


def url_fraction(view: TextView) -> float:
    return ratio(sum(map(len, _URL.findall(view.text))), len(view.text)) if "http" in view.text else 0.0


def boilerplate_paragraph_fraction(view: TextView) -> float:
    if "lorem ipsum" in view.lowered:
        return 1.0
    if not any(phrase in view.lowered for phrase in POLICY_PHRASES):
        return 0.0
    paragraphs = [paragraph for paragraph in view.lowered.split("\n\n") if paragraph.strip()]
    return ratio(
        sum(any(phrase in paragraph for phrase in POLICY_PHRASES) for paragraph in paragraphs), len(paragraphs)
    )


def unended_line_fraction(view: TextView) -> float:
    return ratio(sum(not line.rstrip().endswith(END_MARKS) for line in view.filled_lines), len(view.filled_lines))


NON_ALPHANUMERIC_FRACTION = Signal(
    family=_FAMILY,
    name="non_alphanumeric_fraction",
    type="double",
    description="fraction of characters that are neither letter nor digit, white space among them",
    source=_SOURCE,
    measure=lambda view: 1 - fraction_of(view, ALPHANUMERIC) if view.text else 0.0,
    default=Limits(max=0.25),
    at_most=1,
    examples=(("", 0.0), ("a1 -", 0.5)),
)

NUMBER_FRACTION = Signal(
    family=_FAMILY,
    name="number_fraction",
    type="double",
    description="fraction of characters that are digits",
    source=_SOURCE,
    measure=lambda view: fraction_of(view, NUMERIC),
    default=Limits(max=0.15),
    at_most=1,
    examples=(("", 0.0), ("a 12", 0.5)),
)

URL_FRACTION = Signal(
    family=_FAMILY,
    name="url_fraction",
    type="double",
    description="fraction of characters in web addresses",
    source=_SOURCE,
    measure=url_fraction,
    default=Limits(max=0.2),
    at_most=1,
    examples=(("", 0.0), ("see http://a.example", 16 / 20)),
)

WHITESPACE_FRACTION = Signal(
    family=_FAMILY,
    name="whitespace_fraction",
    type="double",
    description="fraction of characters that are white space",
    source=_SOURCE,
    measure=lambda view: fraction_of(view, SPACE),
    default=Limits(max=0.25),
    at_most=1,
    examples=(("", 0.0), ("a b\n", 0.5)),
)

PARENTHESIS_FRACTION = Signal(
    family=_FAMILY,
    name="parenthesis_fraction",
    type="double",
    description="fraction of characters that are parentheses, brackets or braces",
    source=_SOURCE,
    measure=lambda view: fraction_of(view, PARENTHESIS),
    default=Limits(max=0.1),
    at_most=1,
    examples=(("", 0.0), ("(ab]", 0.5)),
)

BOILERPLATE_PARAGRAPH_FRACTION = Signal(
    family=_FAMILY,
    name="boilerplate_paragraph_fraction",
    type="double",
    description="fraction of paragraphs with a phrase of a privacy or cookie notice; 1 for a text with lorem ipsum",
    source=_SOURCE,
    measure=boilerplate_paragraph_fraction,
    default=Limits(max=0.4),
    at_most=1,
    examples=(("", 0.0), ("We use cookies.\n\nAnd milk.", 0.5), ("Lorem ipsum", 1.0)),
)

UNENDED_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="unended_line_fraction",
    type="double",
    description="fraction of lines, blank ones left out, that end in none of . ? ! \" '",
    source=_SOURCE,
    measure=unended_line_fraction,
    default=Limits(max=0.85),
    at_most=1,
    examples=(("", 0.0), ("Home\n\nThe end.", 0.5)),
)

LONGEST_WORD = Signal(
    family=_FAMILY,
    name="longest_word",
    type="long",
    description="characters of the longest word between white space",
    source=_SOURCE,
    measure=lambda view: int(view.stretch_lengths.max(initial=0)),
    default=Limits(max=1000),
    examples=(("", 0), ("a bc, d", 3)),
)

UNIQUE_LINE_FRACTION = Signal(
    family=_FAMILY,
    name="unique_line_fraction",
    type="double",
    description="different lines as a fraction of all lines, blank ones left out",
    source=_SOURCE,
    measure=lambda view: ratio(len(set(view.filled_lines)), len(view.filled_lines)),
    default=Limits(min=0.7),
    at_most=1,
    examples=(("", 0.0), ("one\none\n\ntwo\none", 0.5)),
)

UNIQUE_LINE_CHARACTER_FRACTION = Signal(
    family=_FAMILY,
    name="unique_line_character_fraction",
    type="double",
    description="characters of different lines as a fraction of those of all lines",
    source=_SOURCE,
    measure=lambda view: ratio(sum(map(len, set(view.filled_lines))), sum(map(len, view.filled_lines))),
    default=Limits(min=0.8),
    at_most=1,
    examples=(("", 0.0), ("one\none", 0.5)),
)

UNIQUE_PARAGRAPH_FRACTION = Signal(
    family=_FAMILY,
    name="unique_paragraph_fraction",
    type="double",
    description="different paragraphs as a fraction of all paragraphs",
    source=_SOURCE,
    measure=lambda view: (
        1 - ratio(view.repeated_paragraphs[1], view.repeated_paragraphs[0]) if view.repeated_paragraphs[0] else 0.0
    ),
    default=Limits(min=0.7),
    at_most=1,
    examples=(("", 0.0), ("one\n\none", 0.5)),
)

CURATOR = (
    NON_ALPHANUMERIC_FRACTION,
    NUMBER_FRACTION,
    URL_FRACTION,
    WHITESPACE_FRACTION,
    PARENTHESIS_FRACTION,
    BOILERPLATE_PARAGRAPH_FRACTION,
    UNENDED_LINE_FRACTION,
    LONGEST_WORD,
    UNIQUE_LINE_FRACTION,
    UNIQUE_LINE_CHARACTER_FRACTION,
    UNIQUE_PARAGRAPH_FRACTION,
)
