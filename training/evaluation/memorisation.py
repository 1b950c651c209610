"""How much of what it was trained on a model gives back word for word (Carlini et al. 2022, arXiv 2202.07646),
beside text that it never read.

A model that is shown the first tokens of a stretch and then takes the likeliest token each time gives the stretch
back exactly as long as each next token is the likeliest one after the true ones before it. So one forward pass over
the stretch tells how far it goes, and nothing is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.evaluation.held_out import HeldOutStretch
from training.order.plan import Plan
from training.order.skips import Skips, batch_of_step, step_of_batch
from training.reading.delta_tokens import PartReader, TokenTable

PROMPT = 50
"""Tokens that the model is shown, the fewest of the paper's experiments."""
CONTINUATION = 50
"""Tokens that it is to give back, as in the paper (section 3)."""
LENGTHS = (32, CONTINUATION)
"""Continuations that are right for so many tokens are counted."""
SEARCHED_TOKENS = 1 << 16
"""Tokens that are looked through for a document that is long enough."""


@dataclass(frozen=True)
class Stretch:
    """The first `PROMPT + CONTINUATION` tokens of a document, and how often the run has read them; none where they
    are held out."""

    tokens: tuple[int, ...]
    reads: int | None


@dataclass(frozen=True)
class Memorised:
    """Stretches that were read equally often: how many, the share of them of which 32 and 50 tokens came back, and
    the mean number that did."""

    reads: int | None
    stretches: int
    share_32: float
    share_50: float
    mean_tokens: float


def trained_stretches(plan: Plan, table: TokenTable, *, steps: int, skips: Skips, most: int) -> Iterator[Stretch]:
    """At most `most` documents of each source's first part, evenly spaced over what `steps` steps have read of it."""
    until = batch_of_step(steps, skips)
    cursors = plan.cursors(until)
    increments = {part.source: part.number for part in reversed(plan.parts)}
    for number, part in enumerate(plan.parts):
        if (part.number, part.layer) != (increments[part.source], 0):
            continue
        reader = PartReader(table, part.source, part.number)
        layers = [n for n, other in enumerate(plan.parts) if (other.source, other.number) == (part.source, part.number)]
        # About how far the first epoch has come, where it holds not all documents.
        reached = min(part.tokens, cursors[number] * part.tokens // part.epoch_tokens)
        for start in document_starts(reader, 0, reached, most):
            read = sum(
                reading.tokens
                for layer in layers
                for reading in plan.readings(layer, start, start + PROMPT + CONTINUATION, reader.document_ends, until)
                if step_of_batch(reading.batch, skips) is not None
            )
            yield Stretch(_tokens(reader, start), read // (PROMPT + CONTINUATION))


def untrained_stretches(
    plan: Plan, table: TokenTable, held_out: tuple[HeldOutStretch, ...], most: int
) -> Iterator[Stretch]:
    """At most `most` held-out documents of each source."""
    for stretch in held_out:
        part = plan.parts[stretch.part]
        reader = PartReader(table, part.source, part.number)
        # The document that the stretch begins in was read in part.
        for start in document_starts(reader, stretch.start + 1, stretch.end, most):
            yield Stretch(_tokens(reader, start), None)


def document_starts(reader: PartReader, first: int, end: int, most: int) -> list[int]:
    """Where at most `most` documents begin that have enough tokens in `[first, end)` and are not withdrawn: the first
    such of each of `most` equal stretches."""
    found = []
    for number in range(most):
        low, high = (first + (end - first) * place // most for place in (number, number + 1))
        # A document that begins before `high` may end beyond it.
        limit = min(end, min(high, low + SEARCHED_TOKENS) + PROMPT + CONTINUATION + 1)
        if low >= limit:
            continue
        ends = [low + place for place in reader.document_ends(low, limit)]
        starts = [*([0] if low == 0 else []), *ends]
        start = next(
            (
                start
                for start, stop in pairwise([*starts, limit])
                if stop - start > PROMPT + CONTINUATION and start < high and not _is_withdrawn(reader, start)
            ),
            None,
        )
        if start is not None:
            found.append(start)
    return found


def tokens_given_back(likeliest: np.ndarray, true: np.ndarray) -> np.ndarray:
    """int64 [N]: how many of the first tokens agree in `likeliest` and `true` [N, n]."""
    return np.cumprod(likeliest == true, axis=1).sum(1)


def probe(stretches: list[Stretch], likeliest: Callable[[np.ndarray], np.ndarray], at_once: int) -> list[Memorised]:
    """What comes back of stretches, by how often they were read; `likeliest` gives for tokens [B, S] the likeliest
    next one after each, [B, S]."""
    given: dict[int | None, list[int]] = {}
    for start in range(0, len(stretches), at_once):
        chosen = stretches[start : start + at_once]
        rows = np.array([stretch.tokens for stretch in chosen], np.int64)
        found = tokens_given_back(likeliest(rows[:, :-1])[:, PROMPT - 1 :], rows[:, PROMPT:])
        for stretch, tokens in zip(chosen, found.tolist(), strict=True):
            given.setdefault(stretch.reads, []).append(tokens)
    shares = {
        reads: [sum(one >= length for one in tokens) / len(tokens) for length in LENGTHS]
        for reads, tokens in given.items()
    }
    order = sorted(given, key=lambda reads: -1 if reads is None else reads)
    return [
        Memorised(reads, len(given[reads]), *shares[reads], sum(given[reads]) / len(given[reads])) for reads in order
    ]


def _is_withdrawn(reader: PartReader, start: int) -> bool:
    """Whether the text that begins there must not be read any more."""
    return bool(reader.withdrawn(start, start + 1, frozenset())[0])


def _tokens(reader: PartReader, start: int) -> tuple[int, ...]:
    return tuple(reader.read(start, start + PROMPT + CONTINUATION).tolist())
