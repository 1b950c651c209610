"""What is asked of the model while and after it is trained."""

from __future__ import annotations

from pydantic import Field

from schemas.plumbing.configuration import Config


class SampleConfig(Config):
    """The lines that the finished model writes."""

    lines: int = Field(default=4, ge=0)
    """How many; none for 0."""
    prompt: str = ""
    """Text that each line continues; empty starts a new document."""
    tokens: int = Field(default=48, ge=1)
    """Longest continuation, in tokens."""
    temperature: float = Field(default=0.8, ge=0)
    """Divides the logits; 0 takes the likeliest token."""
    seed: int = Field(default=0, ge=0)
    """Chooses the tokens."""


class EvaluationConfig(Config):
    """Losses on tokens that are never trained on (`data.held_out_tokens`)."""

    every: int = Field(default=0, ge=0)
    """Steps from one evaluation to the next, the last step always included; 0 for none."""
    tokens: int = Field(default=1 << 20, ge=1)
    """Most tokens of each source that one evaluation reads; always the same ones, from the first that are held out."""
