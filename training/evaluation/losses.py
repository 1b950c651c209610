"""Losses on held-out tokens: of each source, the same numbers in whatever layout, in the loop and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog
import torch
import torch.distributed as dist

from training.config import TrainingConfig
from training.evaluation.evaluation_file import Evaluation, mean_loss, read_evaluations, write_evaluations
from training.evaluation.held_out import HeldOutReader, held_out_stretches
from training.megatron.model import Model
from training.megatron.optimizer import Replica
from training.megatron.parallel import Mesh
from training.megatron.step import run_schedule
from training.objectives.apply import build_objective
from training.order.plan import Plan
from training.reading.delta_tokens import TokenTable
from training.reading.loader import Objective
from training.reading.token_bytes import bytes_of_tokens

log = structlog.get_logger()


class Evaluator:
    """What is evaluated of a run, on this rank. All ranks call its methods together, and all get the same numbers."""

    def __init__(self, config: TrainingConfig, plan: Plan, table: TokenTable, mesh: Mesh, device: torch.device) -> None:
        self._config, self._plan, self._table, self._mesh, self._device = config, plan, table, mesh, device
        self._stretches = held_out_stretches(plan, table, config.evaluation.tokens)
        self._objectives = _objectives(config, table)
        self._bytes: dict[int, np.ndarray] = {}

    def is_due(self, step: int) -> bool:
        every = self._config.evaluation.every
        return every > 0 and step > 0 and (step % every == 0 or step == self._config.steps)

    def is_missing(self, step: int, out: Path) -> bool:
        """Whether the evaluation after `step` steps is due and was left out, as it is where a run is asked to stop;
        the first rank's word counts."""
        missing = torch.tensor(
            float(self.is_due(step) and all(one.step != step for one in read_evaluations(out))), device=self._device
        )
        dist.broadcast(missing, 0)
        return bool(missing)

    def record(
        self, model: Replica, step: int, last_batch: int, out: Path, moved: Callable[[], None]
    ) -> dict[str, float]:
        """Evaluate, and write the result into the folder of the run; returns its numbers by names with `/` between
        groups."""
        found = self.losses(model, step, last_batch, moved)
        if self._mesh.rank == 0 and found:
            write_evaluations(out, found)
            log.info(
                "held out",
                step=step,
                **{name: round(mean_loss(found, name), 6) for name in sorted({one.objective for one in found})},
            )
        bits = {
            f"held_out_bits_per_byte/{one.source}": one.bits_per_byte for one in found if one.bits_per_byte is not None
        }
        return {f"held_out_loss/{one.source}/{one.objective}": one.loss for one in found} | bits

    def losses(
        self, model: Replica | Model, step: int, last_batch: int, moved: Callable[[], None] = lambda: None
    ) -> list[Evaluation]:
        """Evaluate the model as it is after `step` steps, with the sequence length of its last global batch; `moved`
        is called after each batch."""
        stage = self._plan.stage_of(last_batch)
        found = []
        trains = [stretch.training for stretch in model]
        for stretch in model:
            stretch.eval()
        with torch.no_grad():
            for name, objective in self._objectives.items():
                # As few micro-batches at once as the pipeline allows: the last batch is filled up.
                reader = self._reader(
                    stage.sequence_length, stage.micro_sequences, self._mesh.pipeline_size, objective=objective
                )
                sums = self._sums(model, reader, moved)
                found += self._results(
                    step, name, sums, self._bytes_of_targets(stage.sequence_length) if name == "causal" else None
                )
        for stretch, was in zip(model, trains, strict=True):
            stretch.train(was)
        return found

    def _reader(
        self,
        length: int,
        micro_sequences: int,
        micro_batches: int,
        *,
        objective: Objective = lambda batch: batch,
        whole: bool = False,
    ) -> HeldOutReader:
        return HeldOutReader(
            self._plan,
            self._table,
            self._stretches,
            length=length,
            document_mask=self._config.data.document_mask,
            rank=0 if whole else self._mesh.data_rank,
            ranks=1 if whole else self._mesh.data_size,
            micro_batches=micro_batches,
            micro_sequences=micro_sequences,
            objective=objective,
        )

    def _sums(self, model: Replica | Model, reader: HeldOutReader, moved: Callable[[], None]) -> np.ndarray:
        """float64 [2, sources]: losses and counted tokens, over all ranks."""
        sources = len(self._plan.sources)
        total = torch.zeros(2, sources, dtype=torch.float64, device=self._device)
        for index in range(reader.batches):
            parts = run_schedule(model, reader.read(index), self._device, sources=sources, forward_only=True)
            if self._mesh.is_last_stage and self._mesh.tensor_rank == 0:
                total += sum(part["sources"] for part in parts)
            moved()
        dist.all_reduce(total)
        return total.cpu().numpy()

    def _bytes_of_targets(self, length: int) -> np.ndarray:
        """int64 [sources]: bytes of text of the counted targets. Every rank counts them all: it reads each token
        once in a run."""
        if length not in self._bytes:
            sizes = bytes_of_tokens(self._table.tokenizer.definition)
            reader = self._reader(length, 1, 256, whole=True)
            total = np.zeros(len(self._plan.sources), np.int64)
            for index in range(reader.batches):
                batch = reader.read(index)
                np.add.at(total, batch.sources, np.where(batch.counted, sizes[batch.targets], 0).sum(-1))
            self._bytes[length] = total
        return self._bytes[length]

    def _results(self, step: int, objective: str, sums: np.ndarray, sizes: np.ndarray | None) -> list[Evaluation]:
        found = []
        for number, source in enumerate(self._plan.sources):
            nats, tokens = float(sums[0, number]), int(sums[1, number])
            if tokens:
                bits = nats / math.log(2) / int(sizes[number]) if sizes is not None and sizes[number] else None
                found.append(Evaluation(step, source, objective, nats / tokens, bits, tokens))
        return found


def _objectives(config: TrainingConfig, table: TokenTable) -> dict[str, Objective]:
    """What is evaluated: text from left to right where the model can, and the run's own objective."""
    kind = config.objective.kind
    as_stored: dict[str, Objective] = {"causal": lambda batch: batch} if config.objective.is_causal else {}
    return as_stored | ({} if kind == "causal" else {kind: build_objective(config, table.tokenizer)})
