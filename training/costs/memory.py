"""Bytes that one rank needs, worked out before a run starts. Pure arithmetic, without torch.

Activations are those that the backward pass needs, counted operator by operator as in Korthikanti et al. (arXiv
2205.05198, section 4), for this model: RMSNorm, grouped queries, a fused attention kernel that keeps no scores, a
gated feed-forward layer, no dropout. Not counted are what kernels, the allocator and communication libraries hold
for themselves.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from training.config import ModelConfig, TrainingConfig
from training.costs.accounting import attention_parameters

FLOAT = 4
"""Bytes of an fp32 number, in which gradients are summed and the optimizer works."""

ADAM_STATE = 2 * FLOAT
"""Mean and mean square of the gradient, of each weight."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one rank, by what fills them. `logits` are those of one micro-batch, with their gradient."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return sum(astuple(self))


def memory_per_rank(config: TrainingConfig, world_size: int, vocabulary_size: int) -> Memory:
    """What the fullest rank of `world_size` needs; precision `auto` counts as BF16, as on a GPU."""
    stages = (stage_memory(config, world_size, vocabulary_size, stage) for stage in range(config.parallel.pipeline))
    return max(stages, key=lambda memory: memory.total)


def stage_memory(config: TrainingConfig, world_size: int, vocabulary_size: int, stage: int) -> Memory:
    """What a rank of pipeline stage `stage` needs."""
    parallel = config.parallel
    element = FLOAT if config.precision == "fp32" else 2
    shared, experts = _weights(config, vocabulary_size, stage)
    state = (ADAM_STATE if config.optimizer.kind == "adamw" else 0) + (FLOAT if element < FLOAT else 0)
    shared_copies = world_size // (parallel.tensor * parallel.pipeline) if parallel.shard_optimizer else 1
    expert_copies = world_size // (parallel.expert * parallel.pipeline) if parallel.shard_optimizer else 1
    tokens = _micro_batch_tokens(config) // parallel.context
    last = stage == parallel.pipeline - 1
    logits = tokens * config.model.padded_vocabulary(vocabulary_size) // parallel.tensor
    return Memory(
        weights=element * (shared + experts),
        gradients=FLOAT * (shared + experts),
        optimizer=state * (-(-shared // shared_copies) + -(-experts // expert_copies)),
        activations=tokens * _activation_bytes(config, world_size, stage, element),
        # The loss works on an fp32 copy, beside which the logits or their gradient exist in the type of the weights.
        logits=logits * (FLOAT + (element if element < FLOAT else 0)) if last else 0,
    )


def layer_activation_bytes(
    model: ModelConfig, *, element: int, tensor: int = 1, context: int = 1, sequence_parallel: bool = False
) -> int:
    """Bytes a token of what one layer's backward pass needs, where tensor-parallel ranks share it as arXiv
    2205.05198, section 4.2, says.

    Two norms keep their input and output. Attention keeps the queries and keys that it has turned, the fused product
    that they and the values are parts of (or keys and values of all `context` ranks), its output, and an fp32
    normaliser a head. The gated layer keeps both halves of its first product, and what comes of them.
    """
    norms = 4 * model.hidden // (tensor if sequence_parallel else 1)
    fused = model.heads + 2 * model.query_groups
    keys_and_values = model.query_groups + fused if context == 1 else 2 * model.query_groups * context
    # A norm needs the queries as one stretch.
    queries = 3 * model.heads if model.qk_norm else 2 * model.heads
    attention = (queries + keys_and_values) * model.head // tensor
    if model.experts:
        # A token's row is copied for each of its experts, which are whole on their ranks, and comes back weighted.
        feed_forward = (
            model.experts_per_token * (2 * model.hidden + 3 * model.ffn) // (tensor if sequence_parallel else 1)
        )
    else:
        feed_forward = 3 * model.ffn // tensor
    return element * (norms + attention + feed_forward) + FLOAT * model.heads // tensor


def chunks_in_flight(stage: int, stages: int, virtual_stages: int, micro_batches: int) -> int:
    """Micro-batches, each of one stretch of layers, whose activations a pipeline rank holds at once (1F1B, arXiv
    2104.04473, section 2.2)."""
    waiting = stages - stage - 1 if virtual_stages == 1 else 2 * (stages - stage - 1) + (virtual_stages - 1) * stages
    return min(waiting + 1, micro_batches * virtual_stages)


def _activation_bytes(config: TrainingConfig, world_size: int, stage: int, element: int) -> int:
    """A token, over all layers and micro-batches that are in flight on the rank."""
    model, parallel = config.model, config.parallel
    sharing = parallel.tensor if parallel.sequence_parallel else 1
    layer = layer_activation_bytes(
        model,
        element=element,
        tensor=parallel.tensor,
        context=parallel.context,
        sequence_parallel=parallel.sequence_parallel,
    )
    micro_batches = config.batch_sequences // (config.data_parallel(world_size) * config.batch.micro_sequences)
    chunks = chunks_in_flight(stage, parallel.pipeline, parallel.virtual_stages, micro_batches)
    layers = chunks * model.layers // (parallel.pipeline * parallel.virtual_stages)
    final_norm = 2 * element * model.hidden // sharing if stage == parallel.pipeline - 1 else 0
    if parallel.recompute == "full":
        # Every layer keeps its input; one layer at a time is whole again.
        return layers * element * model.hidden // sharing + layer + final_norm
    # A fused attention kernel keeps no scores, so that selective recomputation has nothing to save.
    return layers * layer + final_norm


def _weights(config: TrainingConfig, vocabulary_size: int, stage: int) -> tuple[int, int]:
    """Weights of a rank that tensor-parallel ranks share or repeat, and those of its experts."""
    model, parallel = config.model, config.parallel
    layers = model.layers // parallel.pipeline
    norms = 2 * model.hidden + (2 * model.head if model.qk_norm else 0)
    matrices = attention_parameters(model) // parallel.tensor + (
        0 if model.experts else 3 * model.hidden * model.ffn // parallel.tensor
    )
    embedding = model.padded_vocabulary(vocabulary_size) * model.hidden // parallel.tensor
    first, last = stage == 0, stage == parallel.pipeline - 1
    shared = layers * (matrices + norms + model.hidden * model.experts) + (embedding if first else 0)
    if last:
        shared += model.hidden + (0 if model.tied and first else embedding)
    return shared, layers * model.experts // parallel.expert * 3 * model.hidden * model.ffn


def _micro_batch_tokens(config: TrainingConfig) -> int:
    """Tokens of the largest micro-batch of any stage of the data."""
    length, sequences = config.data.sequence_length, config.batch.micro_sequences
    largest = length * sequences
    for stage in config.stages:
        length, sequences = stage.sequence_length or length, stage.micro_sequences or sequences
        largest = max(largest, length * sequences)
    return largest
