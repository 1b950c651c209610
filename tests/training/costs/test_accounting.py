"""Operations of training against figures that were worked out by hand or published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import ModelConfig
from training.costs.accounting import (
    attention_parameters,
    flops_per_token,
    matmul_parameters,
    mfu,
    peak_flops,
    step_flops,
    training_hours,
)

LLAMA_3_8B = ModelConfig(layers=32, hidden=4096, heads=32, query_groups=8, ffn=14_336, tied=False)
LLAMA_3_VOCABULARY = 128_256
TINY = ModelConfig(layers=2, hidden=8, heads=2, query_groups=1, ffn=16, tied=True)


def test_llama_3_8b_has_its_published_number_of_weights() -> None:
    # The safetensors index of the published model: 16,060,522,496 bytes in BF16.
    assert LLAMA_3_8B.parameters(LLAMA_3_VOCABULARY) == 16_060_522_496 // 2


def test_weights_that_are_multiplied_with_leave_out_look_ups_and_norms() -> None:
    embedding, norms = LLAMA_3_VOCABULARY * 4096, (2 * 32 + 1) * 4096
    assert matmul_parameters(LLAMA_3_8B, LLAMA_3_VOCABULARY) == 8_030_261_248 - embedding - norms


def test_a_tied_output_layer_is_still_multiplied_with() -> None:
    untied = TINY.model_copy(update={"tied": False})
    assert matmul_parameters(TINY, 10) == matmul_parameters(untied, 10)


def test_the_parts_of_a_tiny_model_by_hand() -> None:
    # Query and output 8 x 8 each, key and value 8 x 4 each; feed-forward 3 x 8 x 16; output layer 8 x 10.
    assert attention_parameters(TINY) == 64 + 64 + 32 + 32
    assert matmul_parameters(TINY, 10) == 2 * (192 + 384) + 80
    # Three passes of two operations a weight and token, and of two products of scores and values, two operations a pair
    # and dimension.
    assert step_flops(TINY, 10, tokens=5, squared_lengths=3**2 + 2**2) == 3 * (2 * 1232 * 5 + 2 * 2 * 2 * 8 * 13)


def test_only_the_experts_that_a_token_takes_are_counted() -> None:
    experts = TINY.model_copy(update={"experts": 4, "experts_per_token": 2})
    assert matmul_parameters(experts, 10) == 2 * (192 + 2 * 384 + 4 * 8) + 80


def test_attention_adds_twelve_layers_hidden_length_a_token() -> None:
    per_token = flops_per_token(LLAMA_3_8B, LLAMA_3_VOCABULARY, 8192)
    assert per_token == 6 * 7_504_658_432 + 12 * 32 * 4096 * 8192


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_cutting_a_sequence_into_documents_never_costs_more(lengths: list[int]) -> None:
    tokens = sum(lengths)
    packed = step_flops(TINY, 10, tokens, sum(length**2 for length in lengths))
    assert packed <= step_flops(TINY, 10, tokens, tokens**2)
    assert packed >= 6 * matmul_parameters(TINY, 10) * tokens


def test_published_throughput_gives_published_utilisation() -> None:
    # llm-foundry's table, 7B on H100 in BF16: 10,643 tokens/s a GPU at T = 2048 is 46.4 % MFU. Its two feed-forward
    # matrices of h x 4 h are as many weights as three of h x 8 h / 3.
    mpt_7b = ModelConfig(layers=32, hidden=4096, heads=32, query_groups=32, ffn=8 * 4096 // 3, tied=True)
    flops = flops_per_token(mpt_7b, 50_368, 2048) * 10_643
    assert mfu(flops, seconds=1, devices=1, peak=989e12) == pytest.approx(0.464, rel=0.02)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA B200", 2250e12),
        ("NVIDIA GB200", 2500e12),
        ("AMD Instinct MI300X", 1300e12),
        ("cpu", None),
    ],
)
def test_a_device_is_known_by_what_it_calls_itself(name: str, peak: float | None) -> None:
    assert peak_flops(name) == peak


def test_hours_at_a_utilisation() -> None:
    # 6 x 8e9 x 15e12 operations on 1,000 devices of 1e15 a second at 40 %: 1.8e6 seconds.
    assert training_hours(6 * 8e9 * 15e12, 1000, 1e15, 0.4) == pytest.approx(500)
