"""How a plan's packing treats documents, measured on windows spread over what it reads."""

from __future__ import annotations

from dataclasses import dataclass

from training.order.plan import Plan
from training.reading.delta_tokens import PartReader, TokenTable

WINDOWS = 16
"""Windows of each part that are looked at; each holds hundreds of sequences."""


@dataclass(frozen=True)
class PackingQuality:
    """Of a stage: documents seen, those not whole in one sequence, those that no packing could keep whole, and the
    sum of squared lengths a token."""

    documents: int
    cut: int
    too_long: int
    squared_length_per_token: float


def packing_quality(plan: Plan, table: TokenTable, stage: int) -> PackingQuality:
    """What becomes of the documents of the first epoch in a stage."""
    length = plan.stages[stage].sequence_length
    documents = cut = too_long = tokens = squares = 0
    for number, part in enumerate(plan.parts):
        if part.tokens_version > plan.stages[stage].tokens_version:
            continue
        reader = PartReader(table, part.source, part.number)
        grid = plan.grid(stage, number)
        window = min(grid.window, part.epoch_tokens // length)
        windows = part.epoch_tokens // (window * length) if window else 0
        for index in sorted({turn * windows // WINDOWS for turn in range(WINDOWS)} if windows else ()):
            pieces: dict[int, list[int]] = {}
            for sequence in range(index * window, (index + 1) * window):
                for document, size in _pieces(list(grid.stored(sequence, sequence + 1, reader.document_ends)), reader):
                    pieces.setdefault(document, []).append(size)
                    squares += size**2
            tokens += window * length
            documents += len(pieces)
            cut += sum(len(sizes) > 1 for sizes in pieces.values())
            too_long += sum(sum(sizes) > length for sizes in pieces.values())
    masked = plan.stages[stage].document_mask
    return PackingQuality(documents, cut, too_long, squares / tokens if masked and tokens else float(length))


def _pieces(spans: list[tuple[int, int]], reader: PartReader) -> list[tuple[int, int]]:
    """(end of the document, tokens of it) of the stretches of a sequence that are of one document, in order; a
    document is named by where it ends."""
    found = []
    for start, end in spans:
        place = start
        for bound in reader.document_ends(start, end):
            found.append((start + bound, start + bound - place))
            place = start + bound
        if place < end:
            found.append((reader.end_of_document(place), end - place))
    return found
