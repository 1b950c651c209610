"""What the tokens of a batch say about its documents: how unlikely each is, and how repetitive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from training.audit.trace import TracedSpan

LONGEST_PERIOD = 13
"""Tokens of the longest n-gram whose repetition is looked for (OLMo's instance filter; the next one too)."""

MANY_REPETITIONS = 32
"""Repetitions in a row that were found to be a source of gradient spikes."""


@dataclass(frozen=True)
class DocumentEvidence:
    """A document in a batch: its tokens there, their mean loss in nats, and how often in a row its most repeated
    n-gram comes."""

    doc_id: str
    source: str
    tokens: int
    loss: float
    repetitions: int


def document_evidence(
    spans: Iterable[TracedSpan], tokens: np.ndarray, losses: np.ndarray, counted: np.ndarray
) -> list[DocumentEvidence]:
    """Each document of a batch. `tokens`, `losses` and `counted` are [rows, S], losses being those of the token that
    follows."""
    sums: dict[str, list[float]] = {}
    found: dict[str, tuple[str, int]] = {}
    for span in spans:
        # What follows the last token is another document, but at the end of the sequence.
        end = span.end if span.end == tokens.shape[1] else span.end - 1
        own = counted[span.row, span.start : end]
        values = losses[span.row, span.start : end][own]
        total = sums.setdefault(span.doc_id, [0.0, 0])
        total[0] += float(values.sum(dtype=np.float64))
        total[1] += int(own.sum())
        repeated = repetitions(tokens[span.row, span.start : span.end])
        found[span.doc_id] = span.source, max(repeated, found.get(span.doc_id, ("", 0))[1])
    return [
        DocumentEvidence(name, source, int(sums[name][1]), sums[name][0] / sums[name][1], most)
        for name, (source, most) in found.items()
        if sums[name][1]
    ]


def most_unlikely(
    documents: list[DocumentEvidence], usual: Callable[[str], float], limit: int
) -> list[DocumentEvidence]:
    """The first `limit` documents by how far their loss is above the usual one of their source, in standard errors:
    of two that are equally unlikely a token, the longer one says more."""
    return sorted(
        documents, key=lambda document: -_or_most(document.loss - usual(document.source)) * document.tokens**0.5
    )[:limit]


def repetitions(tokens: np.ndarray) -> int:
    """How often in a row the most repeated n-gram of at most 13 tokens comes in a stretch of tokens; 1 where none is
    repeated."""
    most = 1
    for period in range(1, min(LONGEST_PERIOD, len(tokens) - 1) + 1):
        equal = tokens[period:] == tokens[:-period]
        # The longest run of equal neighbours, between places where they differ.
        borders = np.flatnonzero(np.concatenate([[True], ~equal, [True]]))
        longest = int(np.diff(borders).max()) - 1
        most = max(most, longest // period + 1)
    return most


def _or_most(value: float) -> float:
    """What is not a number is as unlikely as can be."""
    return value if value == value else float("inf")
