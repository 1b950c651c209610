"""How the weights move."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.configuration import Config


class OptimizerConfig(Config):
    """The optimizer; defaults are those of Llama and GPT-3."""

    kind: Literal["adamw", "sgd"] = "adamw"
    """`adamw` (arXiv 1711.05101), or `sgd` without momentum, for comparisons."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """The highest learning rate."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of gradients (GPT-3, arXiv 2005.14165, appendix B)."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the mean of squared gradients (same)."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean squared gradient (same)."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decay of matrices, per step and unit of learning rate (same); vectors have none."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Global norm that the gradient is cut down to (same)."""


class ScheduleConfig(Config):
    """Linear warm-up, then a cosine."""

    warmup_steps: int = Field(default=100, ge=0)
    """Steps until the highest learning rate."""
    decay_steps: int | None = Field(default=None, ge=1)
    """Step at which the lowest learning rate is reached; none for the last step of the run."""
    final_ratio: float = Field(default=0.1, ge=0, le=1)
    """Lowest learning rate, as a share of the highest (Hoffmann et al., arXiv 2203.15556, section 3.1)."""
