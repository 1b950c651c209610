"""Best-fit packing of a window: which pieces of which documents share a sequence.

A window holds exactly as many positions as its sequences, so nothing is padded: documents are placed whole where
they fit (Ding et al. 2024, arXiv 2404.10830, section 3), and only what fits nowhere is cut to fill what is left. So
every token is trained on once, and the number of the sequences is known without looking at a document.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

type Piece = tuple[int, int]
"""[start, end) of positions in a window."""


def best_fit(ends: Sequence[int], sequences: int, length: int) -> list[list[Piece]]:
    """Pieces of each of `sequences` sequences of `length` positions, in order of their positions.

    `ends` are the ends of the documents' stretches in the window, ascending; the last is `sequences * length`.
    """
    full, rest = _cut_long(ends, length)
    bins: list[list[Piece]] = [[] for _ in range(sequences - len(full))]
    unplaced = _place_whole(rest, bins, length)
    _fill(unplaced, bins, length)
    return [[piece] for piece in full] + [sorted(pieces) for pieces in bins]


def cut_documents(ends: Sequence[int], arrangement: list[list[Piece]]) -> int:
    """Documents of a window that are not whole in one sequence, those longer than a sequence and those at its edges
    included."""
    starts = [0, *ends[:-1]]
    whole = {piece for pieces in arrangement for piece in pieces}
    return sum(document not in whole for document in zip(starts, ends, strict=True))


def _cut_long(ends: Sequence[int], length: int) -> tuple[list[Piece], list[Piece]]:
    """Sequences that a long document fills alone, and what is left of all documents."""
    full, rest = [], []
    start = 0
    for end in ends:
        while end - start >= length:
            full.append((start, start + length))
            start += length
        if end > start:
            rest.append((start, end))
        start = end
    return full, rest


def _place_whole(pieces: list[Piece], bins: list[list[Piece]], length: int) -> list[Piece]:
    """The longest first, each into the fullest bin that has room for it; returns those that found none, longest
    first."""
    room = [(length, number) for number in range(len(bins))]
    unplaced = []
    for start, end in sorted(pieces, key=lambda piece: (piece[0] - piece[1], piece[0])):
        place = bisect_left(room, (end - start, -1))
        if place == len(room):
            unplaced.append((start, end))
            continue
        left, number = room.pop(place)
        bins[number].append((start, end))
        if left > end - start:
            insort(room, (left - (end - start), number))
    return unplaced


def _fill(pieces: list[Piece], bins: list[list[Piece]], length: int) -> None:
    """Cut what is left over into the room that is left over: they are equally much."""
    holes = sorted(
        ((length - sum(end - start for start, end in taken), number) for number, taken in enumerate(bins)),
        key=lambda hole: (-hole[0], hole[1]),
    )
    waiting = list(reversed(pieces))
    for room, number in holes:
        while room:
            start, end = waiting.pop()
            taken = min(room, end - start)
            bins[number].append((start, start + taken))
            room -= taken
            if start + taken < end:
                waiting.append((start + taken, end))
