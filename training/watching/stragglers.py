"""Which rank is slow by itself: its seconds from a batch to its last gradient, before it waits for other replicas.

Ranks that share a replica wait for each other on the way, so with tensor or pipeline parallelism it is the slow
replica that stands out.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
import torch.distributed as dist
from megatron.core.transformer import TransformerConfig

log = structlog.get_logger()

RANKS = "ranks.jsonl"
WORTH_A_LINE = 1.2
"""Slowest over median from which on the log names the rank."""


@dataclass(frozen=True)
class Slowest:
    """The slowest rank of a step, in seconds, beside the median of all ranks."""

    step: int
    rank: int
    seconds: float
    median_seconds: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.median_seconds if self.median_seconds else 1.0


def slowest(step: int, seconds: Sequence[float]) -> Slowest:
    """`seconds` by rank; the first of equals."""
    rank = max(range(len(seconds)), key=lambda each: seconds[each])
    return Slowest(step, rank, seconds[rank], statistics.median(seconds))


class OwnClock:
    """Takes the time of every `every`-th step on each rank; on a GPU it waits for the device at the end of these."""

    def __init__(self, transformer: TransformerConfig, device: torch.device, every: int) -> None:
        self._device, self._every = device, every
        self._began: float | None = None
        self._seconds = 0.0
        finish = transformer.finalize_model_grads_func
        assert finish is not None

        def stop_and_finish(*arguments: Any, **options: Any) -> None:
            self._stop()
            finish(*arguments, **options)

        transformer.finalize_model_grads_func = stop_and_finish

    def begin(self, step: int) -> None:
        """The batch of `step` is there."""
        self._began = time.perf_counter() if self._every and step % self._every == 0 else None

    def compare(self, step: int, out: Path) -> Slowest | None:
        """After a step that was timed, on all ranks: the slowest of them; the first rank writes it down."""
        if self._began is None:
            return None
        mine = torch.tensor([self._seconds], dtype=torch.float64, device=self._device)
        gathered = [torch.zeros_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, mine)
        found = slowest(step, [float(each) for each in gathered])
        if dist.get_rank() == 0:
            with (out / RANKS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**asdict(found), "ratio": found.ratio}) + "\n")
            if found.ratio >= WORTH_A_LINE:
                log.info(
                    "one rank is slower than the others",
                    step=step,
                    rank=found.rank,
                    times_the_median=round(found.ratio, 2),
                )
        return found

    def _stop(self) -> None:
        if self._began is None:
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self._seconds = time.perf_counter() - self._began
