"""Memory of a rank against figures that were worked out by hand or published."""

from __future__ import annotations

import pytest

from training.config import ModelConfig, TrainingConfig
from training.costs.memory import Memory, chunks_in_flight, layer_activation_bytes, memory_per_rank, stage_memory

LLAMA_3_8B = {"layers": 32, "hidden": 4096, "heads": 32, "query_groups": 8, "ffn": 14_336, "tied": False}
VOCABULARY = 128_256
WEIGHTS = 8_030_261_248


def run(model: dict[str, object], **groups: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"model": model, **groups})


def eight_billion(**parallel: object) -> TrainingConfig:
    """Sequences of 8,192 tokens, one in a micro-batch, 64 in a batch."""
    sizes = {"data": {"sequence_length": 8192}, "batch": {"tokens": 64 * 8192, "micro_sequences": 1}}
    return run(LLAMA_3_8B, **sizes, parallel=parallel, precision="bf16")


def test_mixed_precision_adam_takes_eighteen_bytes_a_weight_on_one_rank() -> None:
    memory = memory_per_rank(eight_billion(), 1, VOCABULARY)
    assert (memory.weights, memory.gradients, memory.optimizer) == (2 * WEIGHTS, 4 * WEIGHTS, 12 * WEIGHTS)


def test_a_sharded_optimizer_is_divided_by_the_replicas() -> None:
    memory = memory_per_rank(eight_billion(shard_optimizer=True), 8, VOCABULARY)
    assert memory.optimizer == 12 * WEIGHTS / 8
    assert memory.gradients == 4 * WEIGHTS


def test_fp32_keeps_no_second_copy_of_the_weights_and_sgd_no_state() -> None:
    config = eight_billion().model_copy(update={"precision": "fp32"})
    assert memory_per_rank(config, 1, VOCABULARY).optimizer == 8 * WEIGHTS
    sgd = config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"kind": "sgd"})})
    assert memory_per_rank(sgd, 1, VOCABULARY).optimizer == 0


def test_the_stages_and_shards_of_a_model_hold_it_once() -> None:
    config = eight_billion(tensor=4, pipeline=2)
    weights = sum(stage_memory(config, 8, VOCABULARY, stage).weights for stage in range(2)) // 2
    repeated = 3 * (2 * 32 + 1) * 4096  # norms, on each tensor-parallel rank
    assert 4 * weights == WEIGHTS + repeated


def test_a_layers_activations_by_hand() -> None:
    model = ModelConfig(hidden=16, heads=4, query_groups=2, ffn=40)
    # Norms 4 x 16; queries and output 2 x 16, keys 8, the fused product of all three 32; feed-forward 3 x 40; a
    # normaliser a head.
    assert layer_activation_bytes(model, element=2) == 2 * (64 + 32 + 8 + 32 + 120) + 4 * 4
    assert layer_activation_bytes(model, element=2, tensor=2) == 2 * (64 + 16 + 4 + 16 + 60) + 4 * 2
    assert (
        layer_activation_bytes(model, element=2, tensor=2, sequence_parallel=True)
        == 2 * (32 + 16 + 4 + 16 + 60) + 4 * 2
    )
    # Each of two context ranks has the keys and values of both.
    assert layer_activation_bytes(model, element=2, context=2) == 2 * (64 + 32 + 2 * 16 + 120) + 4 * 4


def test_activations_of_a_multi_head_model_are_those_of_the_paper_less_scores_and_dropout() -> None:
    # arXiv 2205.05198, section 4.1: 34 bytes of hidden size a token and layer besides scores. Two of them are dropout
    # masks; 16 are the input and the output of GELU at four times the width, where a gated layer of that width has 24;
    # queries and keys are turned, so that their product stays: 4 more.
    model = ModelConfig(hidden=64, heads=4, query_groups=4, ffn=4 * 64)
    assert layer_activation_bytes(model, element=2) - 4 * 4 == (34 - 2 - 16 + 24 + 4) * 64


def test_full_recomputation_keeps_the_input_of_each_layer_and_one_layer() -> None:
    whole, inputs = (
        memory_per_rank(eight_billion(), 1, VOCABULARY),
        memory_per_rank(eight_billion(recompute="full"), 1, VOCABULARY),
    )
    layer = layer_activation_bytes(ModelConfig(**LLAMA_3_8B), element=2)
    final_norm = 2 * 2 * 4096
    assert whole.activations == 8192 * (32 * layer + final_norm)
    assert inputs.activations == 8192 * (32 * 2 * 4096 + layer + final_norm)


def test_logits_are_counted_on_the_last_stage_with_their_fp32_copy() -> None:
    config = eight_billion(tensor=2, pipeline=2)
    assert stage_memory(config, 4, VOCABULARY, 0).logits == 0
    assert stage_memory(config, 4, VOCABULARY, 1).logits == 8192 * VOCABULARY // 2 * (2 + 4)


@pytest.mark.parametrize(
    ("stage", "virtual_stages", "micro_batches", "chunks"),
    [(0, 1, 64, 4), (3, 1, 64, 1), (0, 1, 2, 2), (0, 2, 64, 2 * 3 + 4 + 1), (3, 2, 64, 4 + 1), (0, 2, 4, 8)],
)
def test_a_pipeline_rank_holds_what_waits_for_its_backward_pass(
    stage: int, virtual_stages: int, micro_batches: int, chunks: int
) -> None:
    assert chunks_in_flight(stage, 4, virtual_stages, micro_batches) == chunks


def test_the_interleaved_schedule_costs_its_published_share_more() -> None:
    # arXiv 2205.05198, section 4.2.3: 1 + (p - 1) / (p m) times the activations of all layers, for m stretches a rank.
    plain = stage_memory(eight_billion(pipeline=4), 4, VOCABULARY, 0)
    interleaved = stage_memory(eight_billion(pipeline=4, virtual_stages=2), 4, VOCABULARY, 0)
    assert interleaved.activations / plain.activations == pytest.approx(1 + 3 / 8)


def test_experts_are_shared_by_expert_parallel_ranks() -> None:
    model = {"layers": 2, "hidden": 8, "heads": 2, "query_groups": 1, "ffn": 16, "experts": 4, "experts_per_token": 2}
    config = run(
        model,
        data={"sequence_length": 16},
        batch={"tokens": 64, "micro_sequences": 1},
        parallel={"expert": 2, "shard_optimizer": True},
        precision="fp32",
    )
    memory = memory_per_rank(config, 4, 100)
    experts, others = 2 * 2 * 3 * 8 * 16, 2 * (8 * 4 * 6 + 16 + 8 * 4) + 128 * 8 + 8
    assert memory.weights == 4 * (experts + others)
    assert memory.optimizer == 8 * (experts / 2 + others / 4)


def test_the_longest_stage_counts() -> None:
    stage = {"from_step": 5, "sequence_length": 4096, "micro_sequences": 2, "batch_tokens": 8192}
    sizes = {"data": {"sequence_length": 1024}, "batch": {"tokens": 8192, "micro_sequences": 4}}
    plain, longer = (memory_per_rank(run({}, **sizes, stages=stages), 1, 1000) for stages in ((), (stage,)))
    assert longer.logits == 2 * plain.logits


def test_the_total_is_the_sum() -> None:
    assert Memory(1, 2, 3, 4, 5).total == 15
