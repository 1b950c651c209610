"""The model, and how it is spread over ranks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.plumbing.configuration import Config


class RopeScalingConfig(Config):
    """How rotary positions are stretched for longer sequences than the model first learned from, as in Llama 3.1 (by
    parts: arXiv 2309.00071, section 3.2).

    The defaults are those of Llama 3.1; Llama 3.2 has a factor of 32.
    """

    factor: float = Field(default=8.0, ge=1)
    """How much slower the slow frequencies turn."""
    low_frequency_factor: float = Field(default=1.0, gt=0)
    """Turns within the original length up to which a frequency counts as slow."""
    high_frequency_factor: float = Field(default=4.0, gt=0)
    """Turns within the original length from which on a frequency stays as it is."""
    original_length: int = Field(default=8192, ge=1)
    """Tokens of the sequences that the model first learned from."""

    @model_validator(mode="after")
    def _ramp_rises(self) -> RopeScalingConfig:
        if self.low_frequency_factor >= self.high_frequency_factor:
            raise ValueError(
                f"low_frequency_factor: must be less than high_frequency_factor {self.high_frequency_factor}"
            )
        return self


class ModelConfig(Config):
    """A decoder-only transformer with RMSNorm, SwiGLU, rotary positions and grouped-query attention, dense or with a
    mixture of experts."""

    layers: int = Field(default=4, ge=1)
    """Transformer blocks."""
    hidden: int = Field(default=128, ge=8)
    """Width of the residual stream."""
    heads: int = Field(default=4, ge=1)
    """Query heads of each block."""
    query_groups: int = Field(default=2, ge=1)
    """Key and value heads of each block; `heads` for plain multi-head attention."""
    head_width: int | None = Field(default=None, ge=2)
    """Dimensions of each head; none for `hidden` / `heads`."""
    ffn: int = Field(default=352, ge=8)
    """Width of the gated feed-forward layer, or of each expert."""
    experts: int = Field(default=0, ge=0)
    """Feed-forward layers that each block chooses from for every token (mixture of experts, arXiv 1701.06538); 0 for
    one that all tokens take."""
    experts_per_token: int = Field(default=2, ge=1)
    """How many it chooses. No token is dropped."""
    router_normalised: bool = True
    """Whether the weights of the chosen experts sum to one (Mixtral, arXiv 2401.04088, section 2.1); otherwise they
    are shares of all experts."""
    balance_loss: float = Field(default=0.01, ge=0)
    """Weight of the loss that spreads tokens over experts (arXiv 2101.03961, section 2.2)."""
    balance_over: Literal["sequence", "micro_batch"] = "sequence"
    """Tokens over which the load is to be even: each sequence, which gives the same loss however a batch is cut, or
    each micro-batch."""
    router_z_loss: float = Field(default=0.0, ge=0)
    """Weight of the router's z-loss (arXiv 2202.08906, section 3.3: 1e-3)."""
    qk_norm: bool = False
    """Whether queries and keys are normed in each head, which keeps attention logits from growing (arXiv 2302.05442,
    section 2; Qwen3)."""
    rope_base: float = Field(default=10_000.0, gt=1)
    """Base of the rotary position frequencies (arXiv 2104.09864, section 3.2.2)."""
    rope_scaling: RopeScalingConfig | None = None
    """How rotary positions are stretched; none for not at all."""
    norm_epsilon: float = Field(default=1e-5, gt=0)
    """Added to the mean square in RMSNorm."""
    tied: bool = True
    """Whether the output layer is the transposed embedding."""
    initial_deviation: float = Field(default=0.02, gt=0)
    """Standard deviation of initial weights; layers that write to the residual stream get it divided by sqrt(2
    layers) (GPT-2, section 2.3)."""
    vocabulary_multiple: int = Field(default=128, ge=1)
    """The vocabulary is padded to a multiple of this, so that any tensor-parallel size divides it."""
    kernels: Literal["auto", "torch", "transformer_engine"] = "auto"
    """Whose matrices and norms run on a GPU; `auto` takes Transformer Engine's where it is installed. Attention is
    torch's either way."""
    fp8: bool = False
    """Whether matrices are multiplied in 8 bits (E4M3 forward, E5M2 backward, arXiv 2209.05433, section 3); needs
    Transformer Engine and a GPU for it."""

    @model_validator(mode="after")
    def _chooses_among_its_experts(self) -> ModelConfig:
        if self.experts and self.experts_per_token > self.experts:
            raise ValueError(f"experts_per_token: {self.experts_per_token} of {self.experts} experts")
        if self.fp8 and self.kernels == "torch":
            raise ValueError("fp8: needs kernels transformer_engine or auto")
        return self

    @property
    def head(self) -> int:
        """Dimensions of each head."""
        return self.head_width or self.hidden // self.heads

    def padded_vocabulary(self, vocabulary_size: int) -> int:
        return -(-vocabulary_size // self.vocabulary_multiple) * self.vocabulary_multiple

    def parameters(self, vocabulary_size: int) -> int:
        """Number of weights, the padded vocabulary included."""
        return self._count(vocabulary_size, max(1, self.experts))

    def active_parameters(self, vocabulary_size: int) -> int:
        """Number of weights that a token passes through: of the experts, those that it chooses."""
        return self._count(vocabulary_size, self.experts_per_token if self.experts else 1)

    def _count(self, vocabulary_size: int, experts: int) -> int:
        attention = self.hidden * self.head * (2 * self.heads + 2 * self.query_groups)
        feed_forward = experts * 3 * self.hidden * self.ffn + self.experts * self.hidden
        norms = 2 * self.hidden + (2 * self.head if self.qk_norm else 0)
        embedding = self.padded_vocabulary(vocabulary_size) * self.hidden
        return self.layers * (attention + feed_forward + norms) + embedding * (1 if self.tied else 2) + self.hidden


class ParallelConfig(Config):
    """How one replica of the model is spread; the data-parallel size is what remains of the world."""

    tensor: int = Field(default=1, ge=1)
    """Ranks that share every matrix."""
    pipeline: int = Field(default=1, ge=1)
    """Stages of consecutive layers (1F1B schedule)."""
    virtual_stages: int = Field(default=1, ge=1)
    """Stretches of layers that each pipeline rank holds, in turn with the others (interleaved schedule, arXiv
    2104.04473, section 2.2): a smaller bubble for more messages."""
    context: int = Field(default=1, ge=1)
    """Ranks that share every sequence; each keeps two stretches of it, so that causal attention costs them all the
    same, and fetches the others' keys and values."""
    expert: int = Field(default=1, ge=1)
    """Ranks that share the experts of each block; taken from the data-, context- and tensor-parallel ranks."""
    sequence_parallel: bool = False
    """Whether the tensor-parallel ranks also share the sequence in norms and residuals."""
    shard_optimizer: bool = False
    """Whether the data-parallel ranks share the optimizer's state instead of each keeping all of it (arXiv
    1910.02054, section 5.1). Choose at the start: a checkpoint keeps to its choice."""
    recompute: Literal["none", "selective", "full"] = "none"
    """What the backward pass computes again to save memory: nothing, attention (arXiv 2205.05198, section 5), or
    every layer."""
    timeout_seconds: float = Field(default=600.0, gt=0)
    """How long a rank waits for another one before it gives up."""

    def layout(self, data: int) -> str:
        """The layout in words, with `data` replicas."""
        sizes = {
            "tensor": self.tensor,
            "pipeline": self.pipeline,
            "context": self.context,
            "expert": self.expert,
            "data": data,
        }
        return " x ".join(
            f"{name} {size}" for name, size in sizes.items() if size > 1 or name in ("tensor", "pipeline", "data")
        )
