"""The coefficients of a scaling law from the losses of finished runs, with bootstrap intervals (Hoffmann et al.,
arXiv 2203.15556, appendix D.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.special import huber
from threadpoolctl import threadpool_limits

from schemas.plumbing.errors import UsageError
from training.scaling.laws import Law

HUBER_DELTA = 1e-3
"""Residuals of log loss beyond this count linearly (arXiv 2203.15556, appendix D.2)."""

START_GRID = tuple(
    product(range(0, 30, 5), range(0, 30, 5), np.arange(-1, 1.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5))
)
"""Starting points (a, b, e, alpha, beta), where A = exp(a), B = exp(b), E = exp(e) (same)."""

STARTS = 100
"""The grid's points with the least objective, from which the search descends: it is as good from these as from all
4,500 and takes a second."""

COEFFICIENTS = 5
"""Those of the law: so many of the points' degrees of freedom are used up by the fit, and the residuals are as much
smaller than the scatter of runs."""

FEWEST_POINTS = COEFFICIENTS + 1

EXPONENTS = (0.0, 2.0)
"""What alpha and beta may be: those of the grid of starts. Few or noisy points would else bend the law upwards, or
out of a float's range."""


@dataclass(frozen=True)
class Point:
    """A finished run: weights, tokens trained on, and its loss in nats a token."""

    parameters: float
    tokens: float
    loss: float


@dataclass(frozen=True)
class Fit:
    """A law, those of the bootstrap samples, and the residuals of log loss of the points that it was fitted to."""

    law: Law
    samples: tuple[Law, ...]
    residuals: tuple[float, ...]

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval of a coefficient (`a`, `b`, `e`, `alpha`, `beta`) or of `size_exponent`."""
        return _percentiles([getattr(law, name) for law in self.samples], level)

    def loss_interval(self, parameters: float, tokens: float, level: float = 0.95) -> tuple[float, float]:
        """Interval of the loss that a single run of this size would be seen to have: the uncertainty of the law, and
        the scatter of runs around it.

        Every sample's law is off by every residual in turn, the residuals widened by sqrt(n / (n - 5)): nine runs
        leave the scatter four degrees of freedom.
        """
        expected = np.log([law.loss(parameters, tokens) for law in self.samples])
        runs = len(self.residuals)
        scatter = np.array(self.residuals) * np.sqrt(runs / (runs - COEFFICIENTS))
        return _percentiles(np.exp(np.add.outer(expected, scatter)).ravel(), level)


def fit(points: Sequence[Point], *, bootstrap: int = 1000, seed: int = 0, starts: int = STARTS) -> Fit:
    """Fit L(N, D) to `points`; `UsageError` where they are too few or do not vary."""
    data = np.log([[point.parameters, point.tokens, point.loss] for point in points])
    if len(points) < FEWEST_POINTS or any(len(np.unique(column)) < 2 for column in data.T[:2]):
        raise UsageError(
            f"{len(points)} run(s) do not make a scaling law: it takes {FEWEST_POINTS} or more, of different sizes and "
            f"different tokens"
        )
    draw = np.random.default_rng(seed)
    # Threads that wait for each other over matrices of five rows make it twenty times slower.
    with threadpool_limits(1):
        best = _descend_from_grid(data, starts)
        samples = [_law(_descend(data[draw.integers(0, len(data), len(data))], best)[1]) for _ in range(bootstrap)]
    law = _law(best)
    residuals = data[:, 2] - np.log([law.loss(point.parameters, point.tokens) for point in points])
    return Fit(law, tuple(samples), tuple(float(residual) for residual in residuals))


def _descend_from_grid(data: np.ndarray, starts: int) -> np.ndarray:
    grid = sorted(START_GRID, key=lambda start: _objective(np.array(start), *data.T)[0])
    return min((_descend(data, np.array(start)) for start in grid[:starts]), key=lambda found: found[0])[1]


def _descend(data: np.ndarray, start: np.ndarray) -> tuple[float, np.ndarray]:
    """L-BFGS in coordinates around the middle of the points, where the terms' heights and exponents hardly depend on
    each other."""
    middle = data[:, :2].mean(axis=0)
    shift = np.zeros((5, 5))
    shift[0, 3], shift[1, 4] = middle
    arguments = (data[:, 0] - middle[0], data[:, 1] - middle[1], data[:, 2])
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-7}
    bounds = [(None, None)] * 3 + [EXPONENTS] * 2
    found = minimize(
        _objective, start - shift @ start, arguments, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return float(found.fun), found.x + shift @ found.x


def _objective(x: np.ndarray, size: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> tuple[float, np.ndarray]:
    """Sum of Huber losses in units of delta^2, so that the search's tolerances bite, and its gradient. Inputs are
    logarithms."""
    a, b, e, alpha, beta = x
    terms = np.stack([a - alpha * size, b - beta * tokens, np.full_like(size, e)])
    top = terms.max(axis=0)
    weights = np.exp(terms - top)
    total = weights.sum(axis=0)
    residual = (top + np.log(total) - loss) / HUBER_DELTA
    slope = np.clip(residual, -1, 1) / HUBER_DELTA * weights / total
    gradient = np.array(
        [slope[0].sum(), slope[1].sum(), slope[2].sum(), -(slope[0] * size).sum(), -(slope[1] * tokens).sum()]
    )
    return float(huber(1.0, residual).sum()), gradient


def _law(x: np.ndarray) -> Law:
    a, b, e, alpha, beta = (float(value) for value in x)
    return Law(float(np.exp(a)), float(np.exp(b)), float(np.exp(e)), alpha, beta)


def _percentiles(values: Sequence[float] | np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
