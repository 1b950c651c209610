"""RefinedWeb's corrections of single lines (Penedo et al. 2023, arXiv:2306.01116, section 3.2 and appendix G.2), as
DCLM spelled them out (Li et al. 2024, arXiv:2406.11794, published code): navigation, counters of social media,
shopping carts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LARGEST_UPPERCASE_RATIO: Final = 0.5
LONGEST_WITH_PHRASE: Final = 10
"""Words of the longest line that loses a phrase."""

_COUNTER = re.compile(
    r"\W*\d[\d,.]*[kmb]?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers)\W*",
    re.IGNORECASE,
)
_PHRASES: Final = {
    "cart": re.compile(r"\s?items in cart", re.IGNORECASE),
    "read_more": re.compile(r"\s?read more(?:\.\.\.|\u2026)$", re.IGNORECASE),
    "sign_in": re.compile(r"^sign-in\s?", re.IGNORECASE),
}
LINE_RULES: Final = ("uppercase", "numeric", "counter", "one_word", *_PHRASES)


class LineFault(NamedTuple):
    """A part of a text that a rule removes: a whole line, or a phrase in it."""

    rule: str
    start: int
    end: int


def line_faults(text: str, lowered: str, uppercase: list[int], digits: list[int]) -> Iterator[LineFault]:
    """What the rules remove of `text`, line by line; `lowered` is the text in lower case, and `uppercase` and
    `digits` have the number of such characters in each line between line feeds.

    A line is removed for the first rule that it breaks; of a line that stays, phrases are removed. A line that a
    phrase leaves blank goes whole.
    """
    has_phrase = "items in cart" in lowered or "read more" in lowered or "sign-in" in lowered
    start = 0
    for line, n_uppercase, n_digits in zip(text.split("\n"), uppercase, digits, strict=True):
        if line:
            rule = _rule_against(line, n_uppercase, n_digits)
            if rule is not None:
                yield LineFault(rule, start, start + len(line))
            elif has_phrase and len(line.split()) <= LONGEST_WITH_PHRASE:
                yield from _phrases_in(line, start)
        start += len(line) + 1


def _rule_against(line: str, n_uppercase: int, n_digits: int) -> str | None:
    if n_uppercase > LARGEST_UPPERCASE_RATIO * len(line):
        return "uppercase"
    if n_digits == len(line):
        return "numeric"
    if n_digits and _COUNTER.fullmatch(line):
        return "counter"
    return "one_word" if len(line.split(None, 1)) < 2 else None


def _phrases_in(line: str, start: int) -> Iterator[LineFault]:
    for rule, pattern in _PHRASES.items():
        for match in pattern.finditer(line):
            if not (line[: match.start()] + line[match.end() :]).strip():
                yield LineFault(rule, start, start + len(line))
                return
            yield LineFault(rule, start + match.start(), start + match.end())
