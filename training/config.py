"""What a training run is: frozen models, read from a recipe, with the unit in every field's text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from schemas.configuration import Config, load_config
from schemas.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"


class DataConfig(Config):
    """Which tokens, and how they become sequences."""

    tokens_version: int | None = Field(default=None, ge=0)
    """Delta version of the `tokens` table; none pins the newest one when the run starts, and a resumed run keeps it."""
    sequence_length: int = Field(default=256, ge=2, le=1 << 20)
    """Tokens that the model sees at once."""
    shuffle_block: int = Field(default=4096, ge=1)
    """Sequences that are read together after the first epoch: blocks are shuffled, and sequences within a block."""
    prefetch: int = Field(default=2, ge=1, le=64)
    """Global batches that are made ready in the background."""
    seed: int = Field(default=0, ge=0)
    """Orders the epochs after the first one."""


class ModelConfig(Config):
    """A decoder-only transformer with RMSNorm, SwiGLU, rotary positions and grouped-query attention (Llama's form)."""

    layers: int = Field(default=4, ge=1)
    """Transformer blocks."""
    hidden: int = Field(default=128, ge=8)
    """Width of the residual stream."""
    heads: int = Field(default=4, ge=1)
    """Query heads of each block."""
    query_groups: int = Field(default=2, ge=1)
    """Key and value heads of each block; `heads` for plain multi-head attention."""
    ffn: int = Field(default=352, ge=8)
    """Width of the gated feed-forward layer."""
    rope_base: float = Field(default=10_000.0, gt=1)
    """Base of the rotary position frequencies (arXiv 2104.09864, section 3.2.2)."""
    norm_epsilon: float = Field(default=1e-5, gt=0)
    """Added to the mean square in RMSNorm."""
    tied: bool = True
    """Whether the output layer is the transposed embedding."""
    initial_deviation: float = Field(default=0.02, gt=0)
    """Standard deviation of initial weights; layers that write to the residual stream get it divided by sqrt(2 layers) (GPT-2, section 2.3)."""
    vocabulary_multiple: int = Field(default=128, ge=1)
    """The vocabulary is padded to a multiple of this, so that any tensor-parallel size divides it."""

    def padded_vocabulary(self, vocabulary_size: int) -> int:
        return -(-vocabulary_size // self.vocabulary_multiple) * self.vocabulary_multiple

    def parameters(self, vocabulary_size: int) -> int:
        """Number of weights, the padded vocabulary included."""
        head = self.hidden // self.heads
        attention = self.hidden * head * (2 * self.heads + 2 * self.query_groups)
        block = attention + 3 * self.hidden * self.ffn + 2 * self.hidden
        embedding = self.padded_vocabulary(vocabulary_size) * self.hidden
        return self.layers * block + embedding * (1 if self.tied else 2) + self.hidden


class ParallelConfig(Config):
    """How one replica of the model is spread; the data-parallel size is what remains of the world."""

    tensor: int = Field(default=1, ge=1)
    """Ranks that share every matrix."""
    pipeline: int = Field(default=1, ge=1)
    """Stages of consecutive layers (1F1B schedule)."""
    sequence_parallel: bool = False
    """Whether the tensor-parallel ranks also share the sequence in norms and residuals."""
    timeout_seconds: float = Field(default=600.0, gt=0)
    """How long a rank waits for another one before it gives up."""


class BatchConfig(Config):
    """How much is learned from in one step."""

    tokens: int = Field(default=8192, ge=1)
    """Tokens of one global batch, over all ranks."""
    micro_sequences: int = Field(default=4, ge=1)
    """Sequences that one rank computes at once."""


class OptimizerConfig(Config):
    """The optimizer; defaults are those of Llama and GPT-3."""

    kind: Literal["adamw", "sgd"] = "adamw"
    """`adamw` (arXiv 1711.05101), or `sgd` without momentum, for comparisons."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """The highest learning rate."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of gradients (GPT-3, arXiv 2005.14165, appendix B)."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the mean of squared gradients (same)."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean squared gradient (same)."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decay of matrices, per step and unit of learning rate (same); vectors have none."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Global norm that the gradient is cut down to (same)."""


class ScheduleConfig(Config):
    """Linear warm-up, then a cosine."""

    warmup_steps: int = Field(default=100, ge=0)
    """Steps until the highest learning rate."""
    decay_steps: int | None = Field(default=None, ge=1)
    """Step at which the lowest learning rate is reached; none for the last step of the run."""
    final_ratio: float = Field(default=0.1, ge=0, le=1)
    """Lowest learning rate, as a share of the highest (Hoffmann et al., arXiv 2203.15556, section 3.1)."""


class CheckpointConfig(Config):
    """When the state is saved."""

    every: int = Field(default=500, ge=1)
    """Steps from one checkpoint to the next; the last step is always saved."""
    keep: int = Field(default=2, ge=1)
    """Committed checkpoints that stay; older ones are removed after a new commit."""


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


class TrainingConfig(Config):
    """A training run."""

    data: DataConfig = DataConfig()
    """Which tokens, and how they become sequences."""
    model: ModelConfig = ModelConfig()
    """The model."""
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
