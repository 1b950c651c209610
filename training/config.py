"""What a training run is: frozen models, read from a recipe, with the unit in every field's text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from schemas.plumbing.configuration import Config, load_config
from schemas.plumbing.errors import UsageError
from training.settings.checkpoints import CheckpointConfig, WatchdogConfig
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
    """When the state is saved, and what stays of it."""
    watchdog: WatchdogConfig = WatchdogConfig()
    """When a rank that does not move is given up."""
    watch: WatchConfig = WatchConfig()
    """What is measured while it trains."""
    spikes: SpikeConfig = SpikeConfig()
    """What is done when the loss jumps."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Losses on tokens that are kept back."""
    sample: SampleConfig = SampleConfig()
    """The lines that the finished model writes."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type of the weights in forward and backward passes; `auto` is bf16 on a GPU and fp32 on a CPU. Gradients are
    summed in fp32 either way."""
    seed: int = Field(default=0, ge=0)
    """Draws the initial weights."""

    @property
    def batch_sequences(self) -> int:
        """Sequences of one global batch."""
        return self.batch.tokens // self.data.sequence_length

    def data_parallel(self, world_size: int) -> int:
        """Replicas that fit in `world_size` ranks; `UsageError` where ranks or sequences are left over."""
        parallel = self.parallel
        sizes = {
            "tensor": parallel.tensor,
            "pipeline": parallel.pipeline,
            **({"context": parallel.context} if parallel.context > 1 else {}),
        }
        replica = math.prod(sizes.values())
        if world_size % replica:
            raise UsageError(
                f"world size {world_size} does not fit "
                f"{' x '.join(f'parallel.{name} {size}' for name, size in sizes.items())}"
            )
        if (world_size // parallel.pipeline) % parallel.expert:
            raise UsageError(
                f"parallel.expert: {parallel.expert} does not divide the {world_size // parallel.pipeline} ranks of a "
                f"pipeline stage"
            )
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
    sizes = {
        "heads": model.heads,
        "query_groups": model.query_groups,
        "ffn": model.ffn,
        "vocabulary_multiple": model.vocabulary_multiple,
    }
    for name, size in sizes.items():
        if size % parallel.tensor:
            raise UsageError(f"parallel.tensor: {parallel.tensor} does not divide model.{name} {size}")
    _require_parallel_fit(model, parallel)
    if model.head_width is None and model.hidden % model.heads:
        raise UsageError(f"model.heads: {model.heads} does not divide model.hidden {model.hidden}")
    if model.head % 2:
        raise UsageError(
            f"model.heads: {model.heads} leave heads of {model.head} dimensions, and rotary positions turn pairs of "
            f"them"
        )
    if model.heads % model.query_groups:
        raise UsageError(f"model.query_groups: {model.query_groups} does not divide model.heads {model.heads}")
    if config.evaluation.every and not config.data.held_out_tokens:
        raise UsageError("evaluation.every: needs data.held_out_tokens, the tokens that are kept back for it")
    _require_sequence_fit(parallel, "data.sequence_length", config.data.sequence_length)
    for number, stage in enumerate(config.stages):
        if stage.sequence_length is not None:
            _require_sequence_fit(parallel, f"stages.{number}.sequence_length", stage.sequence_length)
    if config.batch.tokens % config.data.sequence_length:
        raise UsageError(
            f"batch.tokens: {config.batch.tokens} is no multiple of data.sequence_length {config.data.sequence_length}"
        )


def _require_parallel_fit(model: ModelConfig, parallel: ParallelConfig) -> None:
    if model.layers % (parallel.pipeline * parallel.virtual_stages):
        times = f" x parallel.virtual_stages {parallel.virtual_stages}" if parallel.virtual_stages > 1 else ""
        raise UsageError(f"parallel.pipeline: {parallel.pipeline}{times} does not divide model.layers {model.layers}")
    if parallel.virtual_stages > 1 and parallel.pipeline == 1:
        raise UsageError("parallel.virtual_stages: needs parallel.pipeline > 1")
    if parallel.sequence_parallel and parallel.tensor == 1:
        raise UsageError("parallel.sequence_parallel: needs parallel.tensor > 1")
    if parallel.expert > 1 and not model.experts:
        raise UsageError("parallel.expert: needs model.experts")
    if model.experts % parallel.expert:
        raise UsageError(f"parallel.expert: {parallel.expert} does not divide model.experts {model.experts}")
    if model.experts and parallel.tensor > 1 and not parallel.sequence_parallel:
        raise UsageError("parallel.sequence_parallel: model.experts need it where parallel.tensor > 1")


def _require_sequence_fit(parallel: ParallelConfig, key: str, length: int) -> None:
    # Each context rank holds two stretches of a sequence.
    pieces = parallel.context * 2 if parallel.context > 1 else 1
    if length % pieces:
        raise UsageError(f"parallel.context: twice {parallel.context} does not divide {key} {length}")
    if parallel.sequence_parallel and length // parallel.context % parallel.tensor:
        raise UsageError(
            f"parallel.sequence_parallel: parallel.tensor {parallel.tensor} does not divide {key} {length}"
        )


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
    "WatchdogConfig",
    "bundled_recipes",
    "load_recipe",
    "require_fit",
]
