"""What is measured while a run goes on, where it is shown, and what is done about a spike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.plumbing.configuration import Config


class WatchConfig(Config):
    """What is measured besides loss, gradient norm and speed, and where it is shown besides metrics.jsonl."""

    statistics_every: int = Field(default=100, ge=0)
    """Steps between statistics of weights, gradients, updates and activations by layer; 0 for none."""
    tensorboard: bool = True
    """Whether event files for TensorBoard are written, into the run's folder `tensorboard`; nothing needs to be
    installed for it."""
    wandb_project: str | None = None
    """Project in Weights & Biases that the run is shown in; none for no such tracker. Needs `headwater[wandb]`;
    WANDB_MODE=offline keeps it here."""
    mlflow_experiment: str | None = None
    """Experiment in MLflow that the run is shown in; none for no such tracker. Needs `headwater[mlflow]`;
    MLFLOW_TRACKING_URI says where."""
    prometheus_port: int | None = Field(default=None, ge=0, le=65535)
    """Port on which the first rank answers a Prometheus server; 0 for any free one, which the log names; none for no
    endpoint."""
    prometheus_host: str = "127.0.0.1"
    """Address on which it answers; 0.0.0.0 for all of the machine's."""


class SpikeConfig(Config):
    """When loss or gradient norm is called a spike, and what is done then: leave out the step, roll back and skip
    batches, stop and ask."""

    action: Literal["record", "skip", "roll_back"] = "roll_back"
    """How far to go: `record` only writes incidents down; `skip` also leaves out the update; `roll_back` goes all
    the way."""
    window: int = Field(default=128, ge=8)
    """Steps whose median and spread a new value is compared with (OLMo's SkipStepOptimizer keeps as many)."""
    least_steps: int = Field(default=64, ge=4)
    """Steps in the window before anything is called a spike, but for values that are not finite (same)."""
    loss_deviations: float = Field(default=6.0, gt=0)
    """A loss is a spike beyond this many standard deviations above the median (same; here estimated from the median
    absolute deviation)."""
    gradient_deviations: float = Field(default=12.0, gt=0)
    """The same for the gradient norm, whose distribution has a longer tail."""
    least_spread: float = Field(default=0.01, ge=0)
    """Least standard deviation that is assumed, as a share of the median: a loss that hardly moves is no reason to
    call noise a spike."""
    patience: int = Field(default=3, ge=1)
    """Spikes of the loss within `patience_steps` after which the run rolls back; spikes of the gradient norm alone
    after which it is taken as it is."""
    patience_steps: int = Field(default=10, ge=1)
    """Steps within which they count together."""
    rewind_steps: int = Field(default=100, ge=0)
    """Steps before the first spike at which the checkpoint to roll back to was made, at least, where one so old is
    kept (PaLM, arXiv 2204.02311, 5.1)."""
    skip_before: int = Field(default=50, ge=0)
    """Batches before the first spike that are left out after a rollback. All in all PaLM left out 200 to 500, before
    and during the spike (same)."""
    skip_after: int = Field(default=150, ge=0)
    """Batches after the last spike that are left out after a rollback."""
    rate_factor: float = Field(default=1.0, gt=0, le=1)
    """What the learning rate is multiplied with for `rate_steps` after a rollback; 1 leaves it."""
    rate_steps: int = Field(default=0, ge=0)
    """How long that lasts."""
    max_rollbacks: int = Field(default=3, ge=0)
    """Rollbacks in a run after which the next one is left to a person: the run stops with exit code 5."""
    documents: int = Field(default=32, ge=1)
    """Documents of the batch that an incident names, those with the most unlikely tokens first."""

    @model_validator(mode="after")
    def _window_holds_the_least(self) -> SpikeConfig:
        if self.least_steps > self.window:
            raise ValueError(f"least_steps: {self.least_steps} is more than window {self.window}")
        return self
