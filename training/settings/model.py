"""The model, and how it is spread over ranks."""

from __future__ import annotations

from pydantic import Field

from schemas.configuration import Config


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
