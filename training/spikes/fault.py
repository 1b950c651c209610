"""Whether a spike came from the data or from the state of the model: the same batch, asked of several checkpoints.

PaLM's spikes did not come back when the same batches met the weights of another checkpoint (arXiv 2204.02311,
section 5.1), so a batch that was there when a loss jumped is no proof against it. One that is as unlikely for every
checkpoint, beside its neighbours, is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from training.settings.watching import SpikeConfig
from training.spikes.spikes import Level, level_of
from training.spikes.token_evidence import DocumentEvidence

type Fault = Literal["data fault", "state fault", "undecided"]

LEAST_NEIGHBOURS = 4
"""Values that a level is taken from, at least."""


@dataclass(frozen=True)
class BatchReplay:
    """A batch and its neighbours, as one checkpoint finds them: mean losses in nats a token, and the documents of
    each."""

    checkpoint_step: int
    loss: float
    neighbours: tuple[float, ...]
    documents: tuple[DocumentEvidence, ...]
    neighbour_documents: tuple[DocumentEvidence, ...]


@dataclass(frozen=True)
class DocumentReplay:
    """A document of the batch: what each checkpoint makes of it. `usual` are the medians of neighbouring documents
    of its source."""

    doc_id: str
    source: str
    tokens: int
    repetitions: int
    losses: tuple[float, ...]
    usual: tuple[float, ...]
    deviations: tuple[float, ...]


def batch_deviations(replay: BatchReplay, config: SpikeConfig) -> float:
    """How many standard deviations the batch is above its neighbours."""
    return _level(replay.neighbours, config).deviations(replay.loss)


def judge_fault(deviations: Sequence[float], config: SpikeConfig) -> Fault:
    """From how far the batch is above its neighbours for each checkpoint."""
    spikes = [value > config.loss_deviations for value in deviations]
    if not any(spikes):
        return "state fault"
    # One checkpoint alone may be the one that is at fault.
    return "data fault" if all(spikes) and len(spikes) > 1 else "undecided"


def replay_documents(replays: Sequence[BatchReplay], config: SpikeConfig) -> list[DocumentReplay]:
    """The documents of the batch, those that deviate most for the checkpoint that minds them least first."""
    found = []
    levels = [_document_levels(replay, config) for replay in replays]
    for same in zip(*(replay.documents for replay in replays), strict=True):
        usual = [
            by_source.get(document.source, by_source[""]) for by_source, document in zip(levels, same, strict=True)
        ]
        first = same[0]
        found.append(
            DocumentReplay(
                first.doc_id,
                first.source,
                first.tokens,
                first.repetitions,
                tuple(document.loss for document in same),
                tuple(level.median for level in usual),
                tuple(level.deviations(document.loss) for level, document in zip(usual, same, strict=True)),
            )
        )
    return sorted(found, key=lambda document: -min(document.deviations))


def suspects(documents: Sequence[DocumentReplay], config: SpikeConfig, *, forced: bool = False) -> list[DocumentReplay]:
    """Documents that are a spike of their own for every checkpoint; with `forced`, for any."""
    chosen = max if forced else min
    return [document for document in documents if chosen(document.deviations) > config.loss_deviations]


def _document_levels(replay: BatchReplay, config: SpikeConfig) -> dict[str, Level]:
    """By source, and for all of them under an empty name."""
    by_source: dict[str, list[float]] = {"": [document.loss for document in replay.neighbour_documents]}
    for document in replay.neighbour_documents:
        by_source.setdefault(document.source, []).append(document.loss)
    return {
        name: _level(losses, config)
        for name, losses in by_source.items()
        if not name or len(losses) >= LEAST_NEIGHBOURS
    }


def _level(values: Sequence[float], config: SpikeConfig) -> Level:
    level = level_of(tuple(values), config.model_copy(update={"least_steps": 1}))
    return level if level is not None else Level(0.0, 1.0)
