"""Fill-in-the-middle (Bavarian et al. 2022, arXiv 2207.14255): some documents are turned around, so that a
left-to-right model learns to fill a gap.

A document is cut at two random places into prefix, middle and suffix, and becomes

    <PRE> prefix <SUF> suffix <MID> middle       (PSM, section 3)
    <PRE> <SUF> suffix <MID> prefix middle       (SPM, in the form of appendix D that goes together with PSM)

It happens to each document, or part of one, within its sequence (the paper's context level), so no middle is lost to
the end of a sequence. The three sentinels take the places of the last three tokens of the text: every document keeps
its place and its length. Cuts lie between tokens, since the trainer reads tokens; the paper also cuts within them,
which helps prompts that end inside a token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from training.objectives.draws import uniforms
from training.reading.batch import Batch
from training.settings.objective import FillInTheMiddleConfig

SHORTEST = 6
"""Tokens of text of the shortest document that is turned around: three of them make room for the sentinels."""


@dataclass(frozen=True)
class Sentinels:
    """Token ids that no page can produce."""

    prefix: int
    middle: int
    suffix: int


def fill_in_the_middle(
    batch: Batch, config: FillInTheMiddleConfig, sentinels: Sentinels, *, end_of_document_id: int, seed: int
) -> Batch:
    """The batch with the middle of a share `config.rate` of its documents moved to their end; shapes, places and
    hash stay.

    What follows a turned-around part that the sequence cuts off is not known, so that one target does not count.
    """
    sequences, length = batch.tokens.shape[0] * batch.tokens.shape[1], batch.tokens.shape[2]
    tokens, targets, counted = (
        array.reshape(sequences, length).copy() for array in (batch.tokens, batch.targets, batch.counted)
    )
    documents = None if batch.documents is None else batch.documents.reshape(sequences, length)
    withdrawn = np.zeros(tokens.shape, bool) if batch.withdrawn is None else batch.withdrawn[0].reshape(tokens.shape)
    for row in range(sequences):
        parts = bounds_of_parts(
            tokens[row], targets[row], None if documents is None else documents[row], end_of_document_id
        )
        draws = uniforms(4 * len(parts), seed=seed, batch=batch.index, row=batch.first_row + row).reshape(-1, 4)
        stored = tokens[row].copy()
        for (start, end), draw in zip(parts, draws, strict=True):
            closed = stored[end - 1] == end_of_document_id
            text = stored[start : end - 1] if closed else stored[start:end]
            # What is withdrawn stays where it will be hidden, though two pieces may look like one.
            if draw[0] >= config.rate or len(text) < SHORTEST or withdrawn[row, start:end].any():
                continue
            tokens[row, start : start + len(text)] = turned_around(
                text[:-3], draw[1:3], bool(draw[3] < config.suffix_first), sentinels
            )
            counted[row, end - 1] &= closed
        follows = targets[row, :-1] == stored[1:]
        targets[row, :-1] = np.where(follows, tokens[row, 1:], targets[row, :-1])
    shape = batch.tokens.shape
    return replace(batch, tokens=tokens.reshape(shape), targets=targets.reshape(shape), counted=counted.reshape(shape))


def bounds_of_parts(
    tokens: np.ndarray, targets: np.ndarray, documents: np.ndarray | None, end_of_document_id: int
) -> list[tuple[int, int]]:
    """[start, end) of each document, or part of one, in a sequence [S]: it ends with an end of document, or where
    what follows is stored elsewhere."""
    ends = (tokens[:-1] == end_of_document_id) | (targets[:-1] != tokens[1:])
    if documents is not None:
        ends |= documents[:-1] != documents[1:]
    return list(pairwise([0, *(np.flatnonzero(ends) + 1).tolist(), len(tokens)]))


def turned_around(text: np.ndarray, draws: np.ndarray, suffix_first: bool, sentinels: Sentinels) -> np.ndarray:
    """`text` [n] in the order of the paper with its three sentinels, [n + 3]; two `draws` in [0, 1) choose the cuts
    among all n + 1 places."""
    first, second = sorted(int(draw * (len(text) + 1)) for draw in draws)
    prefix, middle, suffix = text[:first], text[first:second], text[second:]
    if suffix_first:
        return np.concatenate([[sentinels.prefix, sentinels.suffix], suffix, [sentinels.middle], prefix, middle])
    return np.concatenate([[sentinels.prefix], prefix, [sentinels.suffix], suffix, [sentinels.middle], middle])
