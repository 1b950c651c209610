"""Apply spans of several kinds to one text, all at once, so that no stage has to know what another one edits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text, and what takes their place; '' removes them."""

    start: int
    end: int
    replacement: str = ""


def apply_spans(text: str, spans: Iterable[Span]) -> str:
    """The text with every span removed or replaced; positions are those of the text as given.

    No character of a span is in the result, however spans overlap. Overlapping replacements become one, that of the
    earliest start, then of the longest span. What a removal covers is gone; a replacement that is covered in part
    stands where the rest of it was. Raises `ValueError` for a span that is empty or reaches beyond the text, for it
    was found in another text.
    """
    ordered = sorted(spans, key=lambda span: (span.start, -span.end, span.replacement))
    for span in ordered:
        if not 0 <= span.start < span.end <= len(text):
            raise ValueError(f"a span from {span.start} to {span.end} does not fit a text of {len(text)} characters")
    removed = _merged(span for span in ordered if not span.replacement)
    replaced = _uncovered(_merged(span for span in ordered if span.replacement), removed)
    pieces: list[str] = []
    place = 0
    for span in sorted(removed + replaced):
        pieces += (text[place : span.start], span.replacement)
        place = span.end
    return "".join(pieces) + text[place:]


def _merged(ordered: Iterable[Span]) -> list[Span]:
    """Spans in order of start, overlapping ones as one with the replacement of the first; neighbours that only touch
    stay apart."""
    merged: list[Span] = []
    for span in ordered:
        if merged and span.start < merged[-1].end:
            merged[-1] = merged[-1]._replace(end=max(span.end, merged[-1].end))
        else:
            merged.append(span)
    return merged


def _uncovered(replaced: list[Span], removed: list[Span]) -> list[Span]:
    """The parts of replacements outside of the removals; the first part of each stands for the whole, later ones are
    removed."""
    parts: list[Span] = []
    first = 0
    for span in replaced:
        while first < len(removed) and removed[first].end <= span.start:
            first += 1
        place, replacement, number = span.start, span.replacement, first
        while place < span.end:
            covered = removed[number] if number < len(removed) else Span(span.end, span.end)
            if place < covered.start:
                parts.append(Span(place, min(covered.start, span.end), replacement))
                replacement = ""
            place = max(place, covered.end)
            number += 1
    return parts
