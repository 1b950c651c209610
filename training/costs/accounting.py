"""Floating-point operations of training, and what share of a device's peak they are. Pure arithmetic, without torch.

Counted are the operations that the model needs: a multiplication and an addition are two, the backward pass costs
two forward passes, and activations that are computed a second time count once (PaLM, arXiv 2204.02311, appendix B).
Norms, activation functions and the embedding's look-up are left out there and here.
"""

from __future__ import annotations

from training.config import ModelConfig

PEAK_FLOPS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "GB200": 2500e12,
    "B200": 2250e12,
    "MI300X": 1300e12,
}
"""Dense BF16 operations a second by what the device calls itself (makers' data sheets, without sparsity); the first
name that fits counts."""

TRAINING_PASSES = 3
"""The forward pass, and the backward pass at twice its cost: the gradient of the inputs and that of the weights
(arXiv 2203.15556, appendix F)."""


def matmul_parameters(model: ModelConfig, vocabulary_size: int) -> int:
    """Weights that a token is multiplied with: active experts only, the output layer also where it is the tied
    embedding, no padded vocabulary."""
    feed_forward = 3 * model.hidden * model.ffn * (model.experts_per_token if model.experts else 1)
    router = model.hidden * model.experts
    return model.layers * (attention_parameters(model) + feed_forward + router) + vocabulary_size * model.hidden


def attention_parameters(model: ModelConfig) -> int:
    """Weights of one layer's query, key, value and output projections."""
    return model.hidden * model.head * (2 * model.heads + 2 * model.query_groups)


def step_flops(model: ModelConfig, vocabulary_size: int, tokens: int, squared_lengths: int) -> float:
    """Operations of one training step over `tokens` positions.

    `squared_lengths` is the sum of L^2 over the stretches that attention sees as one: documents where it is masked
    at their borders, whole sequences otherwise. Attention is not halved for causality (PaLM's convention), so that
    figures compare with published ones.
    """
    forward_matmuls = 2 * matmul_parameters(model, vocabulary_size) * tokens
    forward_attention = 4 * model.layers * model.heads * model.head * squared_lengths
    return float(TRAINING_PASSES * (forward_matmuls + forward_attention))


def flops_per_token(model: ModelConfig, vocabulary_size: int, sequence_length: int) -> float:
    """Operations of a training step for one token of a sequence that attention sees whole: 6 N + 12 layers x heads x
    head x L."""
    return step_flops(model, vocabulary_size, sequence_length, sequence_length**2) / sequence_length


def peak_flops(device_name: str) -> float | None:
    """Dense BF16 operations a second of a device by its name, such as `NVIDIA H100 80GB HBM3`; None for one that is
    not listed, a CPU among them."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name.casefold() in device_name.casefold()), None)


def mfu(flops: float, seconds: float, devices: int, peak: float) -> float:
    """Model FLOPs utilisation: `flops` of all devices in `seconds`, as a share of `devices` x `peak`."""
    return flops / (seconds * devices * peak)


def training_hours(flops: float, devices: int, peak: float, utilisation: float) -> float:
    """Hours in which `devices` do `flops` at a given MFU."""
    return flops / (devices * peak * utilisation) / 3600
