"""What the model learns to predict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.plumbing.configuration import Config


class FillInTheMiddleConfig(Config):
    """How documents are turned around for fill-in-the-middle (arXiv 2207.14255)."""

    rate: float = Field(default=0.5, gt=0, le=1)
    """Share of the documents whose middle is moved to their end; the others stay as they are. The paper finds that
    0.5 to 0.9 cost nothing from left to right (section 4.2)."""
    suffix_first: float = Field(default=0.5, ge=0, le=1)
    """Share of these in the order suffix, prefix, middle (SPM); the rest is in the order prefix, suffix, middle
    (PSM). The paper trains on both in equal parts (section 4.3)."""


class MaskedConfig(Config):
    """Which tokens a masked model has to find (BERT, arXiv 1810.04805, section 3.1)."""

    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens that the loss counts."""
    mask_share: float = Field(default=0.8, ge=0, le=1)
    """Share of these that the model sees as the mask token; 1 for nothing but masks."""
    random_share: float = Field(default=0.1, ge=0, le=1)
    """Share of these that the model sees as a random token; the rest it sees as they are."""

    @model_validator(mode="after")
    def _shares_fit(self) -> MaskedConfig:
        if self.mask_share + self.random_share > 1:
            raise ValueError(
                f"mask_share {self.mask_share} and random_share {self.random_share} are more than 1 together"
            )
        return self


class ObjectiveConfig(Config):
    """The objective, and the terms that are added to its loss."""

    kind: Literal["causal", "fill_in_the_middle", "masked"] = "causal"
    """`causal` predicts the next token; `fill_in_the_middle` (arXiv 2207.14255) moves the middle of some documents to
    their end; `masked` (arXiv 1810.04805) predicts hidden tokens from both sides, with an encoder."""
    fill_in_the_middle: FillInTheMiddleConfig = FillInTheMiddleConfig()
    """How, where `kind` is `fill_in_the_middle`."""
    masked: MaskedConfig = MaskedConfig()
    """How, where `kind` is `masked`."""
    z_loss: float = Field(default=0.0, ge=0)
    """Weight of the squared log of the softmax's denominator (PaLM, arXiv 2204.02311, section 5: 1e-4; OLMo: 1e-5)."""
    seed: int = Field(default=0, ge=0)
    """Chooses the documents, the cuts and the hidden tokens."""

    @property
    def is_causal(self) -> bool:
        """Whether a token may attend to those before it only."""
        return self.kind != "masked"
