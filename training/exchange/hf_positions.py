"""Rotary positions in a config.json of transformers, in both directions, under the names of its older and its newer
releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.plumbing.errors import UsageError
from training.config import ModelConfig

SCALING = {
    # key of `RopeScalingConfig`: its name in transformers
    "factor": "factor",
    "low_frequency_factor": "low_freq_factor",
    "high_frequency_factor": "high_freq_factor",
    "original_length": "original_max_position_embeddings",
}
MIXTRAL_BASE, OTHER_BASE = 1_000_000.0, 10_000.0
"""What transformers takes where a config.json does not say."""


def position_values(config: ModelConfig, sequence_length: int) -> dict[str, Any]:
    """The keys of config.json for a model that was trained on sequences of `sequence_length`, or on shorter ones."""
    if config.rope_scaling is None:
        return {
            "max_position_embeddings": sequence_length,
            "rope_theta": config.rope_base,
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        }
    scaling = {"rope_type": "llama3", **{there: getattr(config.rope_scaling, here) for here, there in SCALING.items()}}
    # By its definition the factor is the longer length over the original one (arXiv 2309.00071, section 2.3).
    scaled_length = int(config.rope_scaling.factor * config.rope_scaling.original_length)
    return {
        "max_position_embeddings": max(sequence_length, scaled_length),
        "rope_theta": config.rope_base,
        "rope_scaling": scaling,
        "rope_parameters": {**scaling, "rope_theta": config.rope_base},
    }


def position_settings(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keys of `ModelConfig` for the positions of a config.json; `UsageError` for those that this trainer's
    models do not have."""
    # Where a file has both, transformers takes what is under the older name.
    rope = values.get("rope_scaling") or values.get("rope_parameters") or {}
    turned = rope.get("partial_rotary_factor", values.get("partial_rotary_factor", 1.0))
    if turned != 1.0:
        raise UsageError(f"{where}: partial_rotary_factor is {turned}, which this trainer's models do not have")
    base = (
        rope.get("rope_theta")
        or values.get("rope_theta")
        or (MIXTRAL_BASE if values.get("model_type") == "mixtral" else OTHER_BASE)
    )
    return {"rope_base": float(base), "rope_scaling": _scaling(rope, values, where)}


def _scaling(rope: Mapping[str, Any], values: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return None
    if kind != "llama3":
        raise UsageError(f"{where}: rope_type is {kind}; this trainer's models have default and llama3")
    known = {"original_max_position_embeddings": values.get("max_position_embeddings"), **rope}
    missing = [there for there in SCALING.values() if known.get(there) is None]
    if missing:
        raise UsageError(f"{where}: rope_type is llama3, without {', '.join(missing)}")
    return {here: known[there] for here, there in SCALING.items()}
