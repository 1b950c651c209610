"""A ladder: small models of a recipe's shape, trained by one law of batch, rate and warm-up, from which the loss of
the recipe's own size is predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from schemas.plumbing.errors import HeadwaterError, UsageError
from schemas.plumbing.exit_codes import DONE
from schemas.plumbing.whole_file import write_whole
from training.config import TrainingConfig, require_fit
from training.costs.accounting import matmul_parameters
from training.launch import start_ranks
from training.settings.model import ModelConfig

REFERENCE_PARAMETERS = 108e6
REFERENCE_BATCH = 2048 * 160
REFERENCE_RATE = 0.0047 / 2
"""Batch (tokens) and rate of a model of that size, as OLMo's ladder has them: Porian et al. (arXiv 2406.19146,
section 4.4), with half their rate."""

LEAST_PARAMETERS = 5e6
"""The smallest model of that source. Smaller ones are trained at its rate: the law's would go on rising to where
their losses spike and hardly fall."""

LARGE_BATCH = 1 << 19
"""Tokens from which the mean of squared gradients is kept over fewer batches (OLMo's ladder)."""

TOKENS_PER_WEIGHT = 20.0
"""One period of training (Hoffmann et al., arXiv 2203.15556, table 3)."""

FFN_MULTIPLE = 8

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Rung:
    """A run of the ladder: its name, its resolved recipe, its weights (embeddings included), and its tokens as a
    multiple of `TOKENS_PER_WEIGHT`."""

    name: str
    config: TrainingConfig
    parameters: int
    periods: float


@dataclass(frozen=True)
class Settings:
    """What the law gives a model: batch in tokens, highest learning rate, decay of squared gradients, warm-up in
    tokens."""

    batch_tokens: float
    learning_rate: float
    beta2: float
    warmup_tokens: int


def law_settings(matmul_weights: int) -> Settings:
    """The ladder's law for a model of that many weights, embeddings left out and the output layer counted, as its
    source counts."""
    batch = REFERENCE_BATCH * (matmul_weights / REFERENCE_PARAMETERS) ** (2 / 3)
    rate = REFERENCE_RATE * (max(matmul_weights, LEAST_PARAMETERS) / REFERENCE_PARAMETERS) ** (-1 / 3)
    return Settings(batch, rate, 0.95 if batch >= LARGE_BATCH else 0.99, matmul_weights)


def smaller_model(model: ModelConfig, share: float) -> ModelConfig:
    """The model at a share of its width and depth: fewer heads of the same width, and as many query heads a group as
    divide them."""
    heads = max(1, round(share * model.heads))
    group = math.gcd(heads, max(1, model.heads // model.query_groups))
    sizes = {
        "layers": max(1, round(share * model.layers)),
        "hidden": model.hidden * heads // model.heads,
        "heads": heads,
        "query_groups": heads // group,
        "ffn": max(FFN_MULTIPLE, round(model.ffn * heads / model.heads / FFN_MULTIPLE) * FFN_MULTIPLE),
    }
    return ModelConfig.model_validate({**model.model_dump(), **sizes})


def rung(
    base: TrainingConfig, share: float, periods: float, *, ranks: int, vocabulary_size: int, rate_factor: float = 1.0
) -> Rung:
    """The run of a model at `share` of the recipe's width for `periods` of 20 tokens a weight; each rank has whole
    models.

    Its learning rate stays at the top, which is `rate_factor` times the law's, and falls over the last tenth, so
    that runs of all lengths are finished.
    """
    model = smaller_model(base.model, share)
    parameters = model.active_parameters(vocabulary_size)
    settings = law_settings(matmul_parameters(model, vocabulary_size))
    length = base.data.sequence_length
    # The nearest batch that ranks can share, in the recipe's micro-batches or smaller ones.
    rank_sequences = max(1, round(settings.batch_tokens / length / ranks))
    micro = math.gcd(rank_sequences, base.batch.micro_sequences)
    batch = rank_sequences * ranks * length
    steps = max(2, round(periods * TOKENS_PER_WEIGHT * parameters / batch))
    values: dict[str, Any] = {
        **base.model_dump(mode="json"),
        "model": model.model_dump(mode="json"),
        "stages": [],
        "parallel": {"timeout_seconds": base.parallel.timeout_seconds},
        "batch": {"tokens": batch, "micro_sequences": micro},
        "schedule": {
            "kind": "wsd",
            "warmup_steps": min(steps // 2, max(1, round(settings.warmup_tokens / batch))),
            "final_ratio": 0.0,
        },
        "steps": steps,
    }
    values["optimizer"] |= {"learning_rate": rate_factor * settings.learning_rate, "beta2": settings.beta2}
    values["checkpoint"] |= {"every": steps}
    values["evaluation"] |= {"every": steps if base.data.held_out_tokens else 0}
    values["sample"] |= {"lines": 0}
    config = TrainingConfig.model_validate(values)
    require_fit(config)
    return Rung(f"width-{model.hidden}-periods-{periods:g}", config, parameters, periods)


def ladder(
    base: TrainingConfig,
    shares: Sequence[float],
    periods: Sequence[float],
    *,
    ranks: int,
    vocabulary_size: int,
    rate_factor: float,
) -> list[Rung]:
    """All rungs; `UsageError` where two shares come to the same model."""
    rungs = [
        rung(base, share, period, ranks=ranks, vocabulary_size=vocabulary_size, rate_factor=rate_factor)
        for share in shares
        for period in periods
    ]
    if len({one.name for one in rungs}) < len(rungs):
        raise UsageError(
            f"--share: two of {', '.join(f'{share:g}' for share in shares)} come to the same model of "
            f"{base.model.heads} heads; spread them"
        )
    return rungs


def train_rung(one: Rung, lake: str, out: Path, ranks: int) -> Path:
    """Train a rung, or go on with it, or leave it where it is finished; returns the folder of its run.

    `UsageError` where the folder has a run of another recipe.
    """
    folder = out / one.name
    folder.mkdir(parents=True, exist_ok=True)
    recipe, text = folder / "recipe.yaml", yaml.safe_dump(one.config.model_dump(mode="json"), sort_keys=False)
    if recipe.is_file() and recipe.read_text(encoding="utf-8") != text:
        raise UsageError(f"{folder}: has a run of another recipe; choose another --out, or the former options")
    write_whole(recipe, text)
    # The summary is the last thing that a run writes.
    if not (folder / SUMMARY).is_file():
        code = start_ranks([str(recipe), "--lake", lake, "--out", str(folder)], ranks)
        if code != DONE:
            raise RungStopped(one.name, code)
    return folder


class RungStopped(HeadwaterError):
    """A run of the ladder did not come to its end; the exit code is the run's."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with exit code {code}; the same command goes on with it")
        self.exit_code = code
