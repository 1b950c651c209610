"""What is measured while a run goes on, where it is shown, and what is done about a spike."""

from __future__ import annotations

from pydantic import Field

from schemas.configuration import Config


class WatchConfig(Config):
    """What is measured besides loss, gradient norm and speed, and where it is shown besides metrics.jsonl."""

    statistics_every: int = Field(default=100, ge=0)
    """Steps between statistics of weights, gradients, updates and activations by layer; 0 for none."""
    tensorboard: bool = True
    """Whether event files for TensorBoard are written, where it is installed."""


class SpikeConfig(Config):
    """When loss or gradient norm is called a spike, and what is done then."""

    window: int = Field(default=128, ge=8)
    """Steps whose median and spread a new value is compared with."""
