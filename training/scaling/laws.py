"""What loss a model of N weights reaches on D tokens, and what follows for the choice of both. Pure arithmetic;
`fit` finds the coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FLOPS_PER_WEIGHT_AND_TOKEN = 6
"""C = 6 N D (Kaplan et al., arXiv 2001.08361, section 2.1), the measure of compute in which the law below was
published."""

SMALLER_MODELS = (1.0, 0.75, 0.6, 0.5, 0.4, 0.3, 0.25)
"""Sizes of the over-training curve, as shares of the compute-optimal size."""


@dataclass(frozen=True)
class Law:
    """L(N, D) = E + A / N^alpha + B / D^beta, in nats a token (Hoffmann et al., arXiv 2203.15556, section 3.3)."""

    a: float
    b: float
    e: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Expected loss of a model of `parameters` weights after one pass over `tokens` tokens."""
        return self.e + self.a / parameters**self.alpha + self.b / tokens**self.beta

    @property
    def size_exponent(self) -> float:
        """How the compute-optimal number of weights grows with compute: N ~ C^this."""
        return self.beta / (self.alpha + self.beta)


CHINCHILLA = Law(a=482.01, b=2085.43, e=1.8169, alpha=0.3478, beta=0.3658)
"""Hoffmann et al.'s runs fitted again by Besiroglu et al. (arXiv 2404.10102, table 1). The coefficients printed in
the first paper do not fit its runs."""


@dataclass(frozen=True)
class Allocation:
    """A model size and a number of tokens; `flops` is 6 N D, `loss` what the law expects."""

    parameters: float
    tokens: float
    flops: float
    loss: float

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters


def allocation(law: Law, parameters: float, tokens: float) -> Allocation:
    return Allocation(
        parameters, tokens, FLOPS_PER_WEIGHT_AND_TOKEN * parameters * tokens, law.loss(parameters, tokens)
    )


def optimal_for_flops(law: Law, flops: float) -> Allocation:
    """The size and tokens of least loss for a compute budget (arXiv 2203.15556, equation 4)."""
    scale = (law.alpha * law.a / (law.beta * law.b)) ** (1 / (law.alpha + law.beta))
    parameters = scale * (flops / FLOPS_PER_WEIGHT_AND_TOKEN) ** law.size_exponent
    return allocation(law, parameters, flops / FLOPS_PER_WEIGHT_AND_TOKEN / parameters)


def optimal_for_parameters(law: Law, parameters: float) -> Allocation:
    """The tokens, and so the compute, for which a model of this size is the compute-optimal one."""
    scale = (law.alpha * law.a / (law.beta * law.b)) ** (1 / (law.alpha + law.beta))
    flops = FLOPS_PER_WEIGHT_AND_TOKEN * (parameters / scale) ** (1 / law.size_exponent)
    return optimal_for_flops(law, flops)


def optimal_for_tokens(law: Law, tokens: float) -> Allocation:
    """The size, and so the compute, for which this many tokens are the compute-optimal number."""
    scale = (law.beta * law.b / (law.alpha * law.a)) ** (1 / (law.alpha + law.beta))
    flops = FLOPS_PER_WEIGHT_AND_TOKEN * (tokens / scale) ** (1 / (1 - law.size_exponent))
    return optimal_for_flops(law, flops)


def tokens_for_loss(law: Law, parameters: float, loss: float) -> float | None:
    """Tokens after which a model of this size reaches `loss`; None where it never does."""
    remainder = loss - law.e - law.a / parameters**law.alpha
    return (law.b / remainder) ** (1 / law.beta) if remainder > 0 else None


def over_training(
    law: Law, optimum: Allocation, shares: Sequence[float] = SMALLER_MODELS
) -> list[tuple[Allocation, float]]:
    """Smaller models that reach the optimum's loss, each with the compute that this costs beyond the optimum's, as a
    share of it.

    What it costs in training a smaller model wins back wherever it is used. Sizes that never reach the loss are left
    out.
    """
    curve = []
    for share in shares:
        parameters = share * optimum.parameters
        tokens = tokens_for_loss(law, parameters, optimum.loss)
        if tokens is not None:
            there = allocation(law, parameters, tokens)
            # No size is cheaper than the optimum; rounding may say so.
            curve.append((there, max(0.0, there.flops / optimum.flops - 1)))
    return curve
