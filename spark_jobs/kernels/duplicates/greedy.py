"""The greedy rule on documents whose similar predecessors are known: one is removed exactly if it is similar to a
kept one before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Undecided(NamedTuple):
    """A document about which nothing is decided yet."""

    position: int
    """Its place in the order of priority."""
    outdone: bool
    """Whether it is similar to an earlier document that is kept for certain."""
    compared: bool
    """Whether it was compared with all earlier documents that may remove it; if not, more similar ones may still be
    found."""
    waits_for: list[int]
    """Positions of earlier undecided documents that it is similar to."""


def settle(documents: Iterable[Undecided]) -> Iterator[tuple[int, bool]]:
    """(position, kept) of each document that can be decided, from documents in ascending order of position."""
    kept: set[int] = set()
    removed: set[int] = set()
    for document in documents:
        if document.outdone or not kept.isdisjoint(document.waits_for):
            removed.add(document.position)
            yield document.position, False
        elif document.compared and removed.issuperset(document.waits_for):
            kept.add(document.position)
            yield document.position, True
