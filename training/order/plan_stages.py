"""The plan that a configuration and a table ask for: stages and ramp laid out by step, and the parts of every
source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from schemas.plumbing.errors import UsageError
from training.config import TrainingConfig
from training.order.layers import DocumentsOf, epoch_tokens, is_whole, layers_of
from training.order.plan import Part, Plan, PlanStage
from training.reading.delta_tokens import TokenTable
from training.reading.documents import TableDocuments
from training.settings.data import BatchConfig


def make_plan(config: TrainingConfig, table: TokenTable) -> Plan:
    """The order in which a table's tokens are trained on; `UsageError` names the key that does not fit."""
    documents = TableDocuments(table)
    parts = _parts(table, documents, config.data.held_out_tokens)
    stages = _stages(config, table.version)
    for stage, (key, _) in stages:
        _require_stage(stage, parts, key)
    return Plan(parts, tuple(stage for stage, _ in stages), config.data.shuffle_block, config.data.seed, documents)


def later_versions(config: TrainingConfig) -> tuple[int, ...]:
    """Table versions that stages name after the first one, in their order."""
    return tuple(
        dict.fromkeys(
            stage.tokens_version
            for stage in config.stages
            if stage.tokens_version not in (None, config.data.tokens_version)
        )
    )  # type: ignore[misc]


def held_out(stored_tokens: int, held_out_tokens: int) -> int:
    """The first stored token of a source's first part that is not trained on. The last token of a part is a target
    only."""
    return stored_tokens - max(1, held_out_tokens)


def _parts(table: TokenTable, documents: DocumentsOf, held_out_tokens: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    for (version, source, increment), stored in table.parts.items():
        is_first = all(part.source != source for part in parts)
        tokens = held_out(stored, held_out_tokens if is_first else 0)
        if tokens > 0:
            parts += _layers(Part(source, increment, version, tokens), table.weights(source, increment), documents)
    return tuple(parts)


def _layers(part: Part, weights: tuple[float, float], documents: DocumentsOf) -> Iterator[Part]:
    """The layers of an increment of which an epoch reads something; no document is read where all are read equally
    often."""
    lightest, heaviest = weights
    for number in range(layers_of(heaviest)):
        if is_whole(lightest, number):
            yield replace(part, layer=number)
        elif tokens := epoch_tokens(documents(part.source, part.number), number, part.tokens):
            yield replace(part, layer=number, weighted_tokens=tokens)


def _stages(config: TrainingConfig, version: int) -> list[tuple[PlanStage, tuple[str, int]]]:
    """Each stage with the key that asked for it and its batch in tokens. Settings are carried on from stage to
    stage."""
    data = config.data
    current = {
        "tokens_version": version,
        "weights": data.weights,
        "sequence_length": data.sequence_length,
        "packing": data.packing,
        "batch_tokens": config.batch.tokens,
        "micro_sequences": config.batch.micro_sequences,
    }
    changes = [(step, "batch.ramp", {"batch_tokens": tokens}) for step, tokens in ramp_steps(config.batch)]
    last = 0
    for number, stage in enumerate(config.stages):
        if stage.from_step <= last:
            raise UsageError(
                f"stages.{number}.from_step: must be above {last}, that of the stage before, not {stage.from_step}"
            )
        last = stage.from_step
        asked = stage.model_dump(exclude={"from_step"}, exclude_none=True)
        # A stage that names a batch ends the ramp.
        if stage.batch_tokens is not None:
            changes = [change for change in changes if change[0] < stage.from_step or change[1] != "batch.ramp"]
        changes.append((stage.from_step, f"stages.{number}", asked))
    by_step: dict[int, tuple[str, dict[str, object]]] = {0: ("data", {})}
    for step, key, change in sorted(changes, key=lambda change: change[0]):
        by_step[step] = (key, {**by_step.get(step, (key, {}))[1], **change})
    stages = []
    for step, (key, change) in by_step.items():
        current |= change
        stages.append((_stage(step, current, config), (key, current["batch_tokens"])))
    return stages


def _stage(step: int, settings: dict[str, object], config: TrainingConfig) -> PlanStage:
    length, tokens = settings["sequence_length"], settings["batch_tokens"]
    if tokens % length:
        where = "batch.tokens" if step == 0 else f"step {step}"
        raise UsageError(f"{where}: a batch of {tokens} tokens is no multiple of the sequence length {length}")
    return PlanStage(
        first_batch=step,
        tokens_version=settings["tokens_version"],
        weights=tuple(sorted((source, float(weight)) for source, weight in settings["weights"].items())),
        sequence_length=length,
        batch_sequences=tokens // length,
        micro_sequences=settings["micro_sequences"],
        packing=settings["packing"],
        document_mask=config.data.document_mask,
        window_sequences=config.data.window_sequences,
    )


def ramp_steps(batch: BatchConfig) -> list[tuple[int, int]]:
    """(first step, tokens of a global batch) of each size of the ramp and of the whole batch after it; nothing
    without a ramp."""
    if batch.ramp is None:
        return []
    ramp = batch.ramp
    sizes = list(range(ramp.from_tokens, batch.tokens, ramp.increment_tokens))
    if not sizes:
        raise UsageError(f"batch.ramp.from_tokens: {ramp.from_tokens} must be below batch.tokens {batch.tokens}")
    step, steps = 0, []
    for size in sizes:
        steps.append((step, size))
        step += max(1, round(ramp.over_tokens / len(sizes) / size))
    return [*steps, (step, batch.tokens)]


def _require_stage(stage: PlanStage, parts: tuple[Part, ...], key: str) -> None:
    """Every source with a weight must have a sequence to give."""
    tokens: dict[str, int] = {}
    for part in parts:
        if part.tokens_version <= stage.tokens_version:
            tokens[part.source] = tokens.get(part.source, 0) + part.epoch_tokens
    for source, weight in stage.weights:
        if source not in tokens:
            raise UsageError(
                f"{key}.weights.{source}: no such source in version {stage.tokens_version} of tokens; there are "
                f"{', '.join(sorted(tokens))}"
            )
        if weight > 0 and tokens[source] < stage.sequence_length:
            raise UsageError(
                f"{key}.weights.{source}: its {tokens[source]} tokens are less than one sequence of "
                f"{stage.sequence_length}"
            )
