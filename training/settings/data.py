"""Which tokens, in what mixture, and how many at a time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.plumbing.configuration import Config

type Packing = Literal["chop", "best_fit"]
type Weights = dict[str, float]


class DataConfig(Config):
    """Which tokens, and how they become sequences."""

    tokens_version: int | None = Field(default=None, ge=0)
    """Delta version of the `tokens` table; none pins the newest one when the run starts, and a resumed run keeps it."""
    sequence_length: int = Field(default=256, ge=2, le=1 << 20)
    """Tokens that the model sees at once."""
    weights: Weights = Field(default={})
    """Share of the sequences that each source gives, in any unit; a source that is left out gives none. Empty: every
    source by what is left of its epoch, so that all end together."""
    packing: Packing = "chop"
    """`chop` lays documents end to end and cuts every `sequence_length` tokens; `best_fit` cuts fewer documents
    (arXiv 2404.10830) and pads none."""
    document_mask: bool = False
    """Whether documents in a sequence are kept apart: no attention and no loss across their boundary, and positions
    that start anew."""
    window_sequences: int = Field(default=256, ge=1, le=1 << 16)
    """Sequences that are packed together, and shuffled among each other after the first epoch; a rank reads whole
    windows."""
    shuffle_block: int = Field(default=1 << 20, ge=1)
    """Tokens that are read together after the first epoch, in which blocks are shuffled."""
    held_out_tokens: int = Field(default=0, ge=0)
    """Tokens at the end of each source that are never trained on, for evaluation; the stored order is random, so
    they are a random sample."""
    prefetch: int = Field(default=4, ge=1, le=64)
    """Global batches that are made ready in the background."""
    workers: int = Field(default=1, ge=0, le=16)
    """Threads that make them ready; 0 reads when the batch is asked for."""
    withdrawals_seconds: float = Field(default=60.0, ge=0)
    """Seconds between two looks at the lake's `withdrawn`; what is new there is left out from the next step on. 0 looks
    only when the run starts."""
    seed: int = Field(default=0, ge=0)
    """Orders the epochs after the first one, and the windows of `best_fit`."""

    @model_validator(mode="after")
    def _weights_are_shares(self) -> DataConfig:
        require_shares(self.weights)
        return self


class StageConfig(Config):
    """What changes at a step; a key that is left out stays as it was."""

    from_step: int = Field(ge=1)
    """Steps that are done before it begins."""
    tokens_version: int | None = Field(default=None, ge=0)
    """A later version of the `tokens` table. What was appended since joins what is read; a version in which stored
    tokens were written anew is refused."""
    weights: Weights | None = None
    """As in `data.weights`; `{}` goes back to what is left of each epoch."""
    sequence_length: int | None = Field(default=None, ge=2, le=1 << 20)
    """As in `data.sequence_length`."""
    packing: Packing | None = None
    """As in `data.packing`."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """As in `batch.tokens`."""
    micro_sequences: int | None = Field(default=None, ge=1)
    """As in `batch.micro_sequences`."""

    @model_validator(mode="after")
    def _weights_are_shares(self) -> StageConfig:
        require_shares(self.weights or {})
        return self


class RampConfig(Config):
    """A batch that grows at the start of training, in equal increments (GPT-3, arXiv 2005.14165, section 2.3)."""

    from_tokens: int = Field(ge=1)
    """Tokens of the first global batch."""
    increment_tokens: int = Field(ge=1)
    """Tokens that each increment adds."""
    over_tokens: int = Field(ge=1)
    """Tokens trained on until `batch.tokens` is reached; every size takes an equal share of them."""


class BatchConfig(Config):
    """How much is learned from in one step."""

    tokens: int = Field(default=8192, ge=1)
    """Tokens of one global batch, over all ranks."""
    micro_sequences: int = Field(default=4, ge=1)
    """Sequences that one rank computes at once."""
    ramp: RampConfig | None = None
    """Smaller batches at first; none for `tokens` from the start."""


def require_shares(weights: Weights) -> None:
    """Refuse weights that are no shares."""
    for source, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"weights.{source}: must be a number of at least 0, not {weight}")
    if weights and not any(weights.values()):
        raise ValueError("weights: all are 0")
