"""What a training run is: frozen models, read from a recipe, with the unit in every field's text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from schemas.configuration import Config, load_config
from schemas.errors import UsageError
from training.settings.checkpoints import CheckpointConfig
from training.settings.data import BatchConfig, DataConfig, StageConfig
from training.settings.evaluation import EvaluationConfig, SampleConfig
from training.settings.model import ModelConfig, ParallelConfig
from training.settings.objective import ObjectiveConfig
from training.settings.optimization import OptimizerConfig, ScheduleConfig
from training.settings.watching import SpikeConfig, WatchConfig

RECIPES = Path(__file__).parent / "recipes"


class TrainingConfig(Config):
    """A training run."""

    data: DataConfig = DataConfig()
    """Which tokens, and how they become sequences."""
    stages: tuple[StageConfig, ...] = ()
    """What of the data changes at later steps, in order of their steps."""
    model: ModelConfig = ModelConfig()
    """The model."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """What it learns to predict."""
    parallel: ParallelConfig = ParallelConfig()
    """How it is spread over ranks."""
    batch: BatchConfig = BatchConfig()
    """How much is learned from in one step."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """The optimizer."""
    schedule: ScheduleConfig = ScheduleConfig()
    """The learning rate over time."""
    steps: int = Field(default=1000, ge=1)
    """Steps of the whole run, those before a resume included."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """When the state is saved."""
    watch: WatchConfig = WatchConfig()
    """What is measured while it trains."""
    spikes: SpikeConfig = SpikeConfig()
    """What is done when the loss jumps."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Losses on tokens that are kept back."""
    sample: SampleConfig = SampleConfig()
    """The lines that the finished model writes."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type of the weights in forward and backward passes; `auto` is bf16 on a GPU and fp32 on a CPU. Gradients are summed in fp32 either way."""
    seed: int = Field(default=0, ge=0)
    """Draws the initial weights."""

    @property
    def batch_sequences(self) -> int:
        """Sequences of one global batch."""
        return self.batch.tokens // self.data.sequence_length

    def data_parallel(self, world_size: int) -> int:
        """Replicas that fit in `world_size` ranks; `UsageError` where ranks or sequences are left over."""
        replica = self.parallel.tensor * self.parallel.pipeline
        if world_size % replica:
            raise UsageError(f"world size {world_size} does not fit parallel.tensor {self.parallel.tensor} x parallel.pipeline {self.parallel.pipeline}")
        replicas = world_size // replica
        if self.batch_sequences % (replicas * self.batch.micro_sequences):
            raise UsageError(
                f"batch.tokens: {self.batch_sequences} sequences a batch are no multiple of "
                f"{replicas} data-parallel ranks x batch.micro_sequences {self.batch.micro_sequences}"
            )
        return replicas


def require_fit(config: TrainingConfig) -> None:
    """Refuse sizes that do not go together; the message names the key to change."""
    model, parallel = config.model, config.parallel
    sizes = {"heads": model.heads, "query_groups": model.query_groups, "ffn": model.ffn, "vocabulary_multiple": model.vocabulary_multiple}
    for name, size in sizes.items():
        if size % parallel.tensor:
            raise UsageError(f"parallel.tensor: {parallel.tensor} does not divide model.{name} {size}")
    if model.layers % parallel.pipeline:
        raise UsageError(f"parallel.pipeline: {parallel.pipeline} does not divide model.layers {model.layers}")
    if parallel.sequence_parallel and parallel.tensor == 1:
        raise UsageError("parallel.sequence_parallel: needs parallel.tensor > 1")
    if parallel.sequence_parallel and config.data.sequence_length % parallel.tensor:
        raise UsageError(f"parallel.sequence_parallel: parallel.tensor {parallel.tensor} does not divide data.sequence_length {config.data.sequence_length}")
    if model.hidden % model.heads:
        raise UsageError(f"model.heads: {model.heads} does not divide model.hidden {model.hidden}")
    if (model.hidden // model.heads) % 2:
        raise UsageError(f"model.heads: {model.heads} leave heads of {model.hidden // model.heads} dimensions, and rotary positions turn pairs of them")
    if model.heads % model.query_groups:
        raise UsageError(f"model.query_groups: {model.query_groups} does not divide model.heads {model.heads}")
    if config.batch.tokens % config.data.sequence_length:
        raise UsageError(f"batch.tokens: {config.batch.tokens} is no multiple of data.sequence_length {config.data.sequence_length}")


def load_recipe(recipe: str, settings: tuple[str, ...] = ()) -> TrainingConfig:
    """The configuration in a file, or in the bundled recipe of that name."""
    bundled = RECIPES / f"{recipe}.yaml"
    path = Path(recipe)
    if not path.is_file() and bundled.is_file():
        path = bundled
    if not path.is_file():
        raise UsageError(f"{recipe}: neither a file nor a bundled recipe; bundled are {', '.join(bundled_recipes())}")
    return load_config(TrainingConfig, path, settings)


def bundled_recipes() -> list[str]:
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


__all__ = [
    "BatchConfig",
    "CheckpointConfig",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "SampleConfig",
    "ScheduleConfig",
    "SpikeConfig",
    "StageConfig",
    "TrainingConfig",
    "WatchConfig",
    "bundled_recipes",
    "load_recipe",
    "require_fit",
]
