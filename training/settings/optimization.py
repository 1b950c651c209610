"""How the weights move."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.plumbing.configuration import Config


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
    decay_embeddings: bool = False
    """Whether embeddings decay too; small ones make early gradients large (OLMo 2, arXiv 2501.00656). A tied output
    layer is an embedding."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Global norm that the gradient is cut down to (same as the betas)."""


class ScheduleConfig(Config):
    """The learning rate over time: warm-up, then down to `final_ratio` of the highest, then flat."""

    kind: Literal["cosine", "linear", "wsd"] = "cosine"
    """`cosine` (arXiv 1608.03983, equation 5) and `linear` fall all the way; `wsd` (arXiv 2404.06395, section 4)
    stays at the highest and falls at the end."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps until the highest learning rate, in equal increments."""
    warmup_tokens: int | None = Field(default=None, ge=1)
    """Tokens until the highest learning rate, instead of steps: for batches that grow. The decay is then counted
    from step 0."""
    end_step: int | None = Field(default=None, ge=1)
    """Step at which the lowest learning rate is reached; none for the last step of the run."""
    decay_steps: int | None = Field(default=None, ge=1)
    """`wsd`: steps of the fall; none for a tenth of the schedule (same section)."""
    decay: Literal["linear", "cosine", "sqrt"] = "linear"
    """`wsd`: the form of the fall; `sqrt` is 1 - sqrt(x) (arXiv 2405.18392, section 3)."""
    final_ratio: float = Field(default=0.1, ge=0, le=1)
    """Lowest learning rate, as a share of the highest (Hoffmann et al., arXiv 2203.15556, section 3.1)."""
    rewarm_step: int | None = Field(default=None, ge=1)
    """Step at which a schedule that has ended there begins anew, for a run that goes on with more tokens (arXiv
    2403.08763): from `final_ratio` back to the highest in `warmup_steps`, and down again until `end_step`."""

    @model_validator(mode="after")
    def _goes_together(self) -> ScheduleConfig:
        if self.kind != "wsd" and self.decay_steps is not None:
            raise ValueError(
                f"decay_steps: only kind wsd has a fall of its own; say with end_step where {self.kind} ends"
            )
        if self.rewarm_step is not None and self.end_step is not None and self.end_step <= self.rewarm_step:
            raise ValueError(f"end_step: {self.end_step} is not after rewarm_step {self.rewarm_step}")
        return self
