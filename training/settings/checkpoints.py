"""When the state is saved, what stays of it, and when a rank that does not move is given up."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.plumbing.configuration import Config


class CheckpointConfig(Config):
    """When the state is saved, and what stays of it."""

    every: int | Literal["auto"] = Field(default=500, ge=1)
    """Steps from one checkpoint to the next; the last step is always saved. `auto`: as often as saving costs and
    failures make best (Young, doi 10.1145/361147.361115: the root of 2 x seconds that a save holds the loop x
    seconds between failures)."""
    every_minutes: float | None = Field(default=None, gt=0)
    """Minutes after which a checkpoint is due even if `every` steps have not passed; none for no such limit."""
    mean_hours_between_failures: float = Field(default=24.0, gt=0)
    """What `every: auto` counts with. A GPU fails about every 50,000 hours (Llama 3, arXiv 2407.21783, section
    3.3.4: every 3 hours among 16,384)."""
    keep: int = Field(default=2, ge=1)
    """Committed checkpoints that stay; older ones are removed after a new commit. One that a rollback undid, renamed
    to end in `.undone`, goes once this many of later steps are committed."""
    permanent_every: int = Field(default=0, ge=0)
    """Checkpoints of steps that this divides are never removed, unless a rollback undid them; 0 for none."""
    asynchronous: bool = True
    """Whether training goes on while shards are written; it waits only for their copy to host memory."""
    attempts: int = Field(default=3, ge=1)
    """Saves that may fail one after the other (a full disk, say) before the run ends; after each the former
    checkpoint stays, and the next interval tries again."""
    verify: bool = True
    """Whether the hashes of all files are compared before a run goes on from them; their sizes always are."""


class WatchdogConfig(Config):
    """When a rank that does not move is given up."""

    hang_seconds: float = Field(default=300.0, gt=0)
    """How long no rank may move before all write their stacks and end; less than `parallel.timeout_seconds`, so that
    the rank behind is named."""
    straggler_every: int = Field(default=100, ge=0)
    """Steps from one comparison of the ranks' own seconds to the next; 0 for none."""
