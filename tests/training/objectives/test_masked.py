"""Hidden tokens: their share, what is put in their place, and no choice that a layout could change."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from training.objectives.masked import hide_tokens
from training.reading.batch import Batch
from training.settings.objective import MaskedConfig

MASK = 500
ORDINARY = np.arange(10, 400)


def batch_of(tokens: np.ndarray, first_row: int = 0) -> Batch:
    """Sequences [N, S], of which nothing is counted yet."""
    shaped = tokens[:, None, :]
    return Batch(
        4,
        first_row,
        shaped,
        np.roll(shaped, -1),
        np.zeros(shaped.shape, bool),
        None,
        np.zeros(shaped.shape[:2], np.int64),
        hash=1,
    )


@pytest.fixture(scope="module")
def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 400, (64, 512))


def test_fifteen_percent_are_chosen_and_80_10_10_of_these_are_masked_random_and_kept(stored: np.ndarray) -> None:
    found = hide_tokens(batch_of(stored), MaskedConfig(), MASK, ORDINARY, seed=0)
    tokens, chosen = found.tokens[:, 0], found.counted[:, 0]
    assert np.array_equal(found.targets[:, 0], stored)
    assert np.array_equal(tokens[~chosen], stored[~chosen])
    assert 0.14 < chosen.sum() / np.isin(stored, ORDINARY).sum() < 0.16
    assert 0.78 < (tokens[chosen] == MASK).mean() < 0.82
    # A random token is the stored one in a 390th of all cases.
    assert 0.085 < (tokens[chosen] == stored[chosen]).mean() < 0.115
    replaced = chosen & (tokens != MASK) & (tokens != stored)
    assert np.isin(tokens[replaced], ORDINARY).all()
    assert len(np.unique(tokens[replaced])) > 200


def test_special_tokens_are_never_chosen(stored: np.ndarray) -> None:
    found = hide_tokens(batch_of(stored), MaskedConfig(rate=0.9), MASK, ORDINARY, seed=0)
    assert not found.counted[found.targets < 10].any()


def test_all_chosen_tokens_can_be_masked(stored: np.ndarray) -> None:
    found = hide_tokens(batch_of(stored), MaskedConfig(mask_share=1.0, random_share=0.0), MASK, ORDINARY, seed=0)
    assert np.array_equal(found.tokens == MASK, found.counted)


def test_a_row_is_hidden_the_same_way_on_whatever_rank(stored: np.ndarray) -> None:
    whole = hide_tokens(batch_of(stored), MaskedConfig(), MASK, ORDINARY, seed=0)
    half = hide_tokens(batch_of(stored[32:], first_row=32), MaskedConfig(), MASK, ORDINARY, seed=0)
    assert np.array_equal(whole.tokens[32:], half.tokens)
    assert np.array_equal(whole.counted[32:], half.counted)


def test_choices_are_pinned_for_ever() -> None:
    found = hide_tokens(batch_of(np.arange(20, 52)[None]), MaskedConfig(), MASK, ORDINARY, seed=5)
    assert np.flatnonzero(found.counted).tolist() == [2, 14, 19, 30]


def test_shares_of_more_than_one_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"mask_share 0.8 and random_share 0.3 are more than 1 together"):
        MaskedConfig(random_share=0.3)
