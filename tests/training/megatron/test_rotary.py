"""Frequencies of stretched positions: those of transformers, and what their definition says of the two ends."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.megatron.rotary import scaled_frequencies
from training.settings.model import RopeScalingConfig


def frequencies(base: float, head: int) -> torch.Tensor:
    return 1 / base ** (torch.arange(0, head, 2) / head)


@pytest.mark.parametrize(("head", "factor"), [(128, 8.0), (64, 32.0)])
def test_the_frequencies_of_llama_3_are_those_of_transformers(head: int, factor: float) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install headwater[eval]"
    )
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = {
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, **scaling}
    config = transformers.LlamaConfig(head_dim=head, rope_parameters=rope, max_position_embeddings=131072)
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    found = scaled_frequencies(frequencies(500_000.0, head), RopeScalingConfig(factor=factor))
    assert torch.allclose(found, expected, rtol=1e-6, atol=0)


@given(
    factor=st.floats(1, 64),
    low=st.floats(0.5, 4),
    width=st.floats(0.5, 30),
    length=st.integers(16, 1 << 17),
    base=st.floats(1e3, 1e7),
)
def test_fast_frequencies_stay_slow_ones_are_divided_and_none_overtakes_another(
    factor: float, low: float, width: float, length: int, base: float
) -> None:
    config = RopeScalingConfig(
        factor=factor, low_frequency_factor=low, high_frequency_factor=low + width, original_length=length
    )
    given_frequencies = frequencies(base, 64)
    turns = given_frequencies * length / (2 * math.pi)
    found = scaled_frequencies(given_frequencies, config)
    fast, slow = turns > 1.001 * (low + width), turns < 0.999 * low
    assert torch.equal(found[fast], given_frequencies[fast])
    assert torch.allclose(found[slow], given_frequencies[slow] / factor, rtol=1e-6, atol=0)
    assert (found.diff() < 0).all()
