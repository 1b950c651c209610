"""The frequencies of rotary positions, for models whose sequences became longer after they had learned from shorter
ones."""

from __future__ import annotations

import math

import torch

from training.settings.model import RopeScalingConfig


def scaled_frequencies(frequencies: torch.Tensor, scaling: RopeScalingConfig) -> torch.Tensor:
    """Radians a token [D / 2], fp32, from those of unscaled positions.

    What turns often within the original length tells neighbours apart and stays; what turns seldom is slowed by
    `factor`, so that longer sequences turn it no further than before; between the two limits there is a straight
    ramp (arXiv 2309.00071, section 3.2).
    """
    turns = scaling.original_length * frequencies / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / scaling.factor)
