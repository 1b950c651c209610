"""When the state is saved, and what stays of it."""

from __future__ import annotations

from pydantic import Field

from schemas.configuration import Config


class CheckpointConfig(Config):
    """When the state is saved."""

    every: int = Field(default=500, ge=1)
    """Steps from one checkpoint to the next; the last step is always saved."""
    keep: int = Field(default=2, ge=1)
    """Committed checkpoints that stay; older ones are removed after a new commit."""
