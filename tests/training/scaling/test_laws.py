"""What follows from a scaling law, against published figures and by its own definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.scaling.laws import (
    CHINCHILLA,
    Law,
    optimal_for_flops,
    optimal_for_parameters,
    optimal_for_tokens,
    over_training,
    tokens_for_loss,
)


@pytest.mark.parametrize(
    ("flops", "parameters", "tokens", "loss"),
    [(1e19, 2.622e8, 6.357e9, 2.9271), (1e21, 2.778e9, 5.999e10, 2.3055), (5.76e23, 7.225e10, 1.329e12, 1.9744)],
)
def test_compute_optimal_sizes_are_those_of_the_replication(
    flops: float, parameters: float, tokens: float, loss: float
) -> None:
    best = optimal_for_flops(CHINCHILLA, flops)
    assert (best.parameters, best.tokens) == (pytest.approx(parameters, rel=1e-3), pytest.approx(tokens, rel=1e-3))
    # Theirs comes from coefficients with more digits than were printed.
    assert best.loss == pytest.approx(loss, abs=5e-4)
    assert best.flops == pytest.approx(flops)


def test_the_rounded_coefficients_of_the_first_paper_would_train_three_times_too_long() -> None:
    hoffmann = Law(a=406.4, b=410.7, e=1.69, alpha=0.34, beta=0.28)
    assert optimal_for_flops(hoffmann, 5.76e23).tokens_per_parameter == pytest.approx(92.7, abs=0.1)
    assert optimal_for_flops(CHINCHILLA, 5.76e23).tokens_per_parameter == pytest.approx(18.4, abs=0.1)


@given(st.floats(15, 26), st.floats(0.2, 5))
def test_no_other_size_is_better_for_the_same_compute(log_flops: float, factor: float) -> None:
    best = optimal_for_flops(CHINCHILLA, 10**log_flops)
    assert CHINCHILLA.loss(best.parameters * factor, best.tokens / factor) >= best.loss


@given(st.floats(15, 26))
def test_a_plan_may_start_from_compute_or_size_or_tokens(log_flops: float) -> None:
    best = optimal_for_flops(CHINCHILLA, 10**log_flops)
    assert optimal_for_parameters(CHINCHILLA, best.parameters).flops == pytest.approx(best.flops, rel=1e-6)
    assert optimal_for_tokens(CHINCHILLA, best.tokens).flops == pytest.approx(best.flops, rel=1e-6)


def test_smaller_models_reach_the_same_loss_for_more_compute_until_they_never_do() -> None:
    best = optimal_for_flops(CHINCHILLA, 1e21)
    curve = over_training(CHINCHILLA, best, (1.0, 0.5, 0.25, 0.001))
    assert [there.parameters / best.parameters for there, _ in curve] == pytest.approx([1.0, 0.5, 0.25])
    extra = [more for _, more in curve]
    assert extra[0] == pytest.approx(0, abs=1e-9) and extra == sorted(extra)
    for there, more in curve:
        assert there.loss == pytest.approx(best.loss)
        assert there.flops == pytest.approx(best.flops * (1 + more))
    assert tokens_for_loss(CHINCHILLA, 0.001 * best.parameters, best.loss) is None
