"""Documents turned around in their places: the paper's two orders, whatever can be undone, and no choice that a
layout could change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.objectives.fill_in_the_middle import (
    SHORTEST,
    Sentinels,
    bounds_of_parts,
    fill_in_the_middle,
    turned_around,
)
from training.reading.batch import Batch
from training.settings.objective import FillInTheMiddleConfig

END = 0
SENTINELS = Sentinels(prefix=101, middle=102, suffix=103)
ALWAYS = FillInTheMiddleConfig(rate=1.0)


def batch_of(stored: np.ndarray, micro_sequences: int = 1, index: int = 7, first_row: int = 0) -> Batch:
    """Sequences [N, S + 1] as tokens and targets, all counted."""
    shape = (-1, micro_sequences, stored.shape[1] - 1)
    tokens, targets = stored[:, :-1].reshape(shape), stored[:, 1:].reshape(shape)
    return Batch(
        index,
        first_row,
        tokens,
        targets,
        np.ones(tokens.shape, bool),
        None,
        np.zeros(tokens.shape[:2], np.int64),
        hash=1,
    )


def turn(batch: Batch, config: FillInTheMiddleConfig = ALWAYS, seed: int = 0) -> Batch:
    return fill_in_the_middle(batch, config, SENTINELS, end_of_document_id=END, seed=seed)


def test_the_two_orders_are_those_of_the_paper() -> None:
    text = np.array([1, 2, 3, 4, 5, 6])
    cuts = np.array([0.7, 0.3])  # of 7 places: after 4 and after 2
    assert turned_around(text, cuts, False, SENTINELS).tolist() == [101, 1, 2, 103, 5, 6, 102, 3, 4]
    assert turned_around(text, cuts, True, SENTINELS).tolist() == [101, 103, 5, 6, 102, 1, 2, 3, 4]


def test_prefix_middle_and_suffix_may_each_be_empty() -> None:
    text = np.array([1, 2, 3])
    assert turned_around(text, np.array([0.0, 0.999]), False, SENTINELS).tolist() == [101, 103, 102, 1, 2, 3]
    assert turned_around(text, np.array([0.0, 0.0]), False, SENTINELS).tolist() == [101, 103, 1, 2, 3, 102]


def test_a_document_keeps_its_place_its_end_and_its_length() -> None:
    stored = np.array([[1, 2, 3, 4, 5, 6, 7, END, 11, 12, END, 21, 22, 23, 24, 25, 26, 27]])
    found = turn(batch_of(stored))
    row, targets, counted = found.tokens[0, 0], found.targets[0, 0], found.counted[0, 0]
    assert row[7] == END and sorted(row[:7]) == [1, 2, 3, 4, 101, 102, 103]
    assert row[8:11].tolist() == [11, 12, END]  # shorter than a document that is turned around
    assert sorted(row[11:17]) == [21, 22, 23, 101, 102, 103]
    assert targets[:-1].tolist() == row[1:].tolist()
    # What follows the last middle lies beyond the sequence.
    assert counted.tolist() == [True] * 16 + [False]


def test_what_follows_elsewhere_in_storage_stays_the_target() -> None:
    # Two pieces: the first one's next token, 99, is stored elsewhere.
    tokens, targets = np.array([[[1, 2, 3, 11, 12, END]]]), np.array([[[2, 3, 99, 12, END, 55]]])
    batch = Batch(0, 0, tokens, targets, np.ones(tokens.shape, bool), None, np.zeros((1, 1), np.int64), hash=1)
    assert bounds_of_parts(tokens[0, 0], targets[0, 0], None, END) == [(0, 3), (3, 6)]
    found = turn(batch)
    assert np.array_equal(found.targets, targets) and np.array_equal(found.tokens, tokens)


def test_documents_kept_apart_are_turned_around_apart() -> None:
    stored = np.arange(1, 18)[None]
    documents = np.repeat([0, 1], 8).astype(np.int32).reshape(1, 1, 16)
    found = turn(replace(batch_of(stored), documents=documents))
    assert (found.tokens == SENTINELS.middle).sum(-1).item() == 2
    assert set(found.tokens[0, 0, :8]) - {101, 102, 103} <= set(range(1, 9))


@given(st.data())
def test_a_turned_around_document_can_be_put_back(data: st.DataObject) -> None:
    text = np.arange(1, 1 + data.draw(st.integers(1, 40)))
    draws = np.array(data.draw(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2)))
    suffix_first = data.draw(st.booleans())
    turned = turned_around(text, draws, suffix_first, SENTINELS).tolist()
    suffix_at, middle_at = turned.index(103), turned.index(102)
    prefix, suffix, rest = turned[1:suffix_at], turned[suffix_at + 1 : middle_at], turned[middle_at + 1 :]
    # Suffix first: prefix and middle stand together, in their order.
    assert prefix + rest + suffix == text.tolist()
    assert not (suffix_first and prefix)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("micro_sequences", [1, 2])
def test_no_layout_changes_a_choice(ranks: int, micro_sequences: int) -> None:
    stored = np.random.default_rng(3).integers(0, 30, (8, 129))
    whole = turn(batch_of(stored), FillInTheMiddleConfig())
    share = 8 // ranks
    parts = [
        turn(
            batch_of(stored[r * share : (r + 1) * share], micro_sequences, first_row=r * share), FillInTheMiddleConfig()
        )
        for r in range(ranks)
    ]
    for name in ("tokens", "targets", "counted"):
        joined = np.concatenate([getattr(part, name).reshape(-1, 128) for part in parts])
        assert np.array_equal(joined, getattr(whole, name).reshape(-1, 128)), name
    assert not np.array_equal(whole.tokens, batch_of(stored).tokens)


def test_another_batch_or_seed_makes_other_choices_and_the_rate_is_kept() -> None:
    stored = np.tile(np.concatenate([np.arange(1, 16), [END]]), (64, 8))
    batch = batch_of(np.concatenate([stored, stored[:, :1]], 1), 64)
    config = FillInTheMiddleConfig(rate=0.3, suffix_first=0.25)
    found = turn(batch, config)
    turned = (found.tokens == SENTINELS.middle).sum()
    suffix_first = ((found.tokens[..., :-1] == SENTINELS.prefix) & (found.tokens[..., 1:] == SENTINELS.suffix)).sum()
    assert 0.25 < turned / 512 < 0.35
    assert 0.2 < suffix_first / turned < 0.4  # PSM with an empty prefix looks the same
    assert not np.array_equal(turn(replace(batch, index=8), config).tokens, found.tokens)
    assert not np.array_equal(turn(batch, config, seed=1).tokens, found.tokens)
    assert (found.hash, found.index) == (batch.hash, batch.index)
    assert SHORTEST - 3 >= 1
