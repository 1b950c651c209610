"""The greedy rule: by priority, a document is removed exactly if a kept one before it is alike; else it is kept.

Alike are documents of an equal text, of a similar one, and captures of one page. So what stands for a removed document
is always a kept one, and no chain of likenesses removes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

type Kind = Literal["exact", "near", "url"]


class Candidate(NamedTuple):
    """A document that is alike to others, as numbers."""

    position: int
    """Its place in the order of priority."""
    text: int
    """Number of its text: documents of equal texts have equal ones."""
    page: int | None
    """Number of its page; none where captures of a page do not count as alike."""
    similar: tuple[tuple[int, float], ...]
    """(text, similarity) of the texts similar to its own; one of the documents of a text says it, the first."""


class Removal(NamedTuple):
    """A removed document, and the first kept one that is alike in this way."""

    position: int
    kind: Kind
    representative: int
    similarity: float | None


def settle(candidates: Iterable[Candidate], *, exact: bool) -> Iterator[Removal]:
    """Why documents are removed, from candidates in ascending order of position; those that are not named are kept.

    All that are alike to a candidate must be among the candidates. `exact` says whether equal texts count as alike.
    """
    kept_text: dict[int, int] = {}
    kept_page: dict[int, int] = {}
    similar_to: dict[int, tuple[tuple[int, float], ...]] = {}
    for candidate in candidates:
        position, text, page, _ = candidate
        similar = similar_to.setdefault(text, candidate.similar)
        removals = []
        if exact and text in kept_text:
            removals.append(Removal(position, "exact", kept_text[text], 1.0))
        kept_ones = [(kept_text[other], similarity) for other, similarity in similar if other in kept_text]
        if kept_ones:
            representative, similarity = min(kept_ones)
            removals.append(Removal(position, "near", representative, similarity))
        if page is not None and page in kept_page:
            removals.append(Removal(position, "url", kept_page[page], None))
        if removals:
            yield from removals
            continue
        kept_text.setdefault(text, position)
        if page is not None:
            kept_page.setdefault(page, position)
