"""BF16 training of a model of a billion weights on one GPU, beside plain PyTorch: `python bench/gpu_training.py
[--rounds N] [--out FILE]`.

The trainer's own step (without a lake: random batches) and a plain model of the same shape (SDPA, torch.compile,
autocast over fp32 weights, fused AdamW) begin with the same weights and learn from the same batches. Each runs in a
process of its own, the two in turn, so that the peak of memory is its own too. That their losses agree is the check
that they are the same model. `--tiny` runs all of it on a CPU in fp32, where only this check means anything.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from plain_llama import initial_model

from schemas.plumbing.exit_codes import DONE, FAILED, NOTHING_TO_DO
from training.config import ModelConfig, OptimizerConfig, ParallelConfig, load_recipe
from training.costs.accounting import mfu, peak_flops, step_flops
from training.reading.batch import Batch

SIDES = ("headwater", "plain")
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "megatron-core", "transformer-engine", "triton")
SEED = 0
DIFFERENT_BATCHES = 2
"""So few that a loss falls in the steps of a measurement; losses of random tokens that never come back would agree
whatever the model."""


@dataclass(frozen=True)
class Shape:
    """What both sides train. `tolerance` is how far their losses may be apart, in nats."""

    model: ModelConfig
    vocabulary: int
    length: int
    micro_batches: int
    micro_sequences: int
    first_steps: int
    steps: int
    learning_rate: float
    tolerance: float

    @property
    def tokens(self) -> int:
        """Of one step."""
        return self.micro_batches * self.micro_sequences * self.length

    @property
    def optimizer(self) -> OptimizerConfig:
        return OptimizerConfig(learning_rate=self.learning_rate)


def full_shape() -> Shape:
    """A recipe's model of 1.0 billion weights."""
    model = load_recipe("llama_1b_tp2").model
    return Shape(
        model,
        32_000,
        4096,
        micro_batches=4,
        micro_sequences=4,
        first_steps=5,
        steps=15,
        learning_rate=3e-4,
        tolerance=0.05,
    )


def tiny_shape() -> Shape:
    model = ModelConfig(layers=2, hidden=64, heads=4, query_groups=2, ffn=128, tied=True, rope_base=500_000.0)
    return Shape(
        model, 512, 64, micro_batches=2, micro_sequences=4, first_steps=5, steps=15, learning_rate=3e-3, tolerance=1e-3
    )


def batch_of(shape: Shape, step: int) -> Batch:
    draw = np.random.default_rng(step % DIFFERENT_BATCHES)
    stored = draw.integers(0, shape.vocabulary, (shape.micro_batches, shape.micro_sequences, shape.length + 1))
    tokens, targets = stored[..., :-1], stored[..., 1:]
    return Batch(step, 0, tokens, targets, np.ones(tokens.shape, bool), None, np.zeros(tokens.shape[:2], np.int64), 0)


def headwater_step(shape: Shape) -> Callable[[Batch], float]:
    """The trainer's step, on the weights of the plain model."""
    from training.megatron.device import prepare_device, set_threads

    device = prepare_device(0)
    set_threads(1)
    from training.checkpoints.checkpoint import TrainingState
    from training.exchange.hf_layout import from_layout
    from training.megatron import parallel
    from training.megatron.initial_weights import fill
    from training.megatron.model import build_model
    from training.megatron.optimizer import build_optimizer, set_learning_rate, wrap_data_parallel
    from training.megatron.step import Trainer, apply_update, compute_gradients, connect_gradients

    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    mesh = parallel.stand_alone(device, SEED)
    sizes = {"vocabulary_size": shape.vocabulary, "sequence_length": shape.length, "dtype": dtype, "seed": SEED}
    model, transformer = build_model(shape.model, ParallelConfig(), mesh, device, **sizes)
    replica = wrap_data_parallel(model, transformer)
    optimizer = build_optimizer(shape.optimizer, replica, device, dtype)
    connect_gradients(transformer, optimizer)
    weights = {
        f"model.{name}": weight
        for name, weight in initial_model(shape.model, shape.vocabulary, SEED).state_dict().items()
    }
    fill(model, lambda name, place, _: from_layout(weights.__getitem__, shape.model, name, place, shape.vocabulary))
    optimizer.reload_model_params()
    trainer = Trainer(
        replica,
        optimizer,
        TrainingState(model, optimizer, mesh),
        mesh,
        device,
        np.zeros(shape.vocabulary, np.int64),
        0.0,
    )
    set_learning_rate(optimizer, shape.learning_rate, shape.optimizer)

    def step(batch: Batch) -> float:
        result = compute_gradients(trainer, batch, sources=1, votes={})
        apply_update(optimizer, result.gradient_norm, shape.optimizer.clip_norm)
        return result.loss

    return step


def plain_step(shape: Shape) -> Callable[[Batch], float]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = initial_model(shape.model, shape.vocabulary, SEED).to(device)
    config = shape.optimizer
    matrices = [
        weight for name, weight in model.named_parameters() if weight.dim() > 1 and name != "embed_tokens.weight"
    ]
    others = [weight for name, weight in model.named_parameters() if weight.dim() == 1 or name == "embed_tokens.weight"]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=shape.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True
    )
    forward = torch.compile(model) if device.type == "cuda" else model

    def step(batch: Batch) -> float:
        losses = []
        for micro_batch in zip(batch.tokens, batch.targets, strict=True):
            tokens, targets = (torch.from_numpy(array).to(device) for array in micro_batch)
            with torch.autocast(device.type, kind, enabled=kind != torch.float32):
                loss = forward(tokens, targets, kind) / batch.tokens.size
            loss.backward()
            losses.append(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return float(sum(losses))

    return step


def measure(shape: Shape, step: Callable[[Batch], float]) -> dict[str, Any]:
    """Losses of all steps; seconds of those after the first ones, and on a GPU the most memory that they took."""
    gpu = torch.cuda.is_available()
    losses, seconds = [], []
    for number in range(shape.first_steps + shape.steps):
        if number == shape.first_steps and gpu:
            torch.cuda.reset_peak_memory_stats()
        batch = batch_of(shape, number)
        started = time.perf_counter()
        losses.append(step(batch))
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    device = torch.cuda.get_device_name() if gpu else platform.processor() or platform.machine()
    peak = torch.cuda.max_memory_allocated() if gpu else None
    return {"device": device, "losses": losses, "seconds": median(seconds[shape.first_steps :]), "peak_bytes": peak}


def measured_apart(side: str, tiny: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "side.json"
        command = [sys.executable, __file__, "--side", side, "--out", str(out), *(["--tiny"] if tiny else [])]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""} if tiny else None
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{side}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def summary(shape: Shape, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Medians over the rounds, and the ratios of headwater's to plain's."""
    device = rounds[0]["headwater"]["device"]
    peak = peak_flops(device)
    flops = step_flops(shape.model, shape.vocabulary, shape.tokens, shape.tokens * shape.length)
    sides: dict[str, dict[str, Any]] = {}
    for side in SIDES:
        seconds = median(one[side]["seconds"] for one in rounds)
        sides[side] = {
            "tokens_per_second": shape.tokens / seconds,
            "mfu": mfu(flops, seconds, 1, peak) if peak else None,
            "peak_bytes": rounds[0][side]["peak_bytes"],
            "last_loss": rounds[0][side]["losses"][-1],
        }
    ratios = {
        key: ours / theirs
        for key in ("tokens_per_second", "peak_bytes")
        if (ours := sides[SIDES[0]][key]) and (theirs := sides[SIDES[1]][key])
    }
    losses = np.array([[one[side]["losses"] for side in SIDES] for one in rounds])
    return {
        "machine": {"device": device, "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "cuda": torch.version.cuda, **installed()},
        "weights": shape.model.parameters(shape.vocabulary),
        "tokens_a_step": shape.tokens,
        "sequence_length": shape.length,
        "rounds": len(rounds),
        "sides": sides,
        "ratios": ratios,
        "largest_loss_difference": float(np.abs(losses[:, 0] - losses[:, 1]).max()),
        "first_loss": float(losses[0, 0, 0]),
    }


def installed() -> dict[str, str]:
    found = {distribution.metadata["Name"]: distribution.version for distribution in importlib.metadata.distributions()}
    return {name: found[name] for name in PACKAGES if name in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tiny", action="store_true", help="a tiny model on the CPU in fp32: are the two sides the same model?"
    )
    parser.add_argument("--rounds", type=int, help="how often each side is measured: 2, or 1 with --tiny")
    parser.add_argument(
        "--out",
        type=Path,
        help="a JSON file; by default one in bench/results that is named after the GPU, and none with --tiny",
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = tiny_shape() if arguments.tiny else full_shape()
    if arguments.side:
        step = headwater_step(shape) if arguments.side == "headwater" else plain_step(shape)
        arguments.out.write_text(json.dumps(measure(shape, step)))
        return DONE
    if not arguments.tiny and not torch.cuda.is_available():
        print("bench/gpu_training.py: this machine has no GPU; --tiny compares the two sides on a CPU", file=sys.stderr)
        return NOTHING_TO_DO
    rounds = arguments.rounds or (1 if arguments.tiny else 2)
    found = summary(shape, [{side: measured_apart(side, arguments.tiny) for side in SIDES} for _ in range(rounds)])
    text = json.dumps(found, indent=1)
    print(text)
    name = re.sub(r"\W+", "-", found["machine"]["device"]).lower()
    if out := arguments.out or (None if arguments.tiny else RESULTS / f"gpu_training_{name}.json"):
        out.write_text(text + "\n")
    if found["largest_loss_difference"] > shape.tolerance:
        print(
            f"bench/gpu_training.py: losses differ by {found['largest_loss_difference']:.2g}, more than "
            f"{shape.tolerance:g}",
            file=sys.stderr,
        )
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
