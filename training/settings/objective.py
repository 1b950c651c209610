"""What the model learns to predict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.configuration import Config


class ObjectiveConfig(Config):
    """The objective, and the terms that are added to its loss."""

    kind: Literal["causal", "fill_in_the_middle", "masked"] = "causal"
    """`causal` predicts the next token; `fill_in_the_middle` (arXiv 2207.14255) moves the middle of some documents to
    their end; `masked` (arXiv 1810.04805) predicts hidden tokens from both sides, with an encoder."""
    z_loss: float = Field(default=0.0, ge=0)
    """Weight of the squared log of the softmax's denominator (PaLM, arXiv 2204.02311, section 5: 1e-4; OLMo: 1e-5)."""
