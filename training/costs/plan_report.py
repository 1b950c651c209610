"""What a run will do, said before it starts.

Tokens and epochs of every source, packing, operations, memory, hours, and where the run stands against the
compute-optimal one.
"""

from __future__ import annotations

from training.costs.accounting import peak_flops, step_flops, training_hours
from training.costs.memory import memory_per_rank
from training.order.packing_quality import packing_quality
from training.order.plan import Plan
from training.prepare import Job
from training.scaling.laws import CHINCHILLA, optimal_for_flops

MANY_EPOCHS = 4
"""Epochs up to which repeated tokens are nearly worth new ones (Muennighoff et al., arXiv 2305.16264, section 6)."""

SMALLEST_OF_LAW = 70e6
"""Weights of the smallest of the runs that the law was fitted to (Hoffmann et al., arXiv 2203.15556, section 1)."""

GIBIBYTE = 1 << 30


def describe(job: Job) -> list[str]:
    """The run in a few lines, from the plan alone."""
    config, plan = job.config, job.plan
    parameters = config.model.parameters(job.table.tokenizer.vocabulary_size)
    tokens = plan.tokens_before(config.steps)
    first = plan.stages[0]
    return [
        f"parameters      {parameters:,}",
        f"tokens          {job.table.tokens:,} in {len(plan.sources)} source(s), version "
        f"{', '.join(map(str, job.table.versions))} of {job.table.uri}",
        *withdrawn_lines(job),
        f"steps           {config.steps:,}; the first of {first.batch_sequences:,} sequences of "
        f"{first.sequence_length:,} tokens, {tokens:,} tokens in all",
        f"layout          {job.layout} on {job.world_size} rank(s)",
        f"starts at step  {job.first_step}",
        f"plan            {plan.hash()}",
        *source_lines(job),
    ]


def withdrawn_lines(job: Job) -> list[str]:
    """How much of what is stored is left out; nothing where all is read."""
    found = job.table.withdrawn.of(frozenset(part.number for part in job.plan.parts))
    tokens = int(found.tokens.sum())
    if not tokens:
        return []
    documents = len(set(found.doc_ids.tolist()))
    share = tokens / job.table.tokens
    return [f"withdrawn       {tokens:,} of these tokens ({share:.2%}) in {documents:,} document(s) are left out"]


def source_lines(job: Job) -> list[str]:
    """Tokens and epochs of every source, and a warning for those that are repeated often."""
    plan = job.plan
    read = plan.cursors(job.config.steps)
    lines, warnings = [], []
    for source in plan.sources:
        numbers = [number for number, part in enumerate(plan.parts) if part.source == source]
        trained = sum(read[number] for number in numbers)
        epochs = epochs_of_increments(plan, read, source)
        weights = {number: job.table.weights(source, number) for number in epochs}
        times = max(weights[number][1] * done for number, done in epochs.items())
        is_weighted = any(found != (1.0, 1.0) for found in weights.values())
        own = sum(plan.parts[number].tokens for number in numbers if plan.parts[number].layer == 0)
        an_epoch = sum(plan.parts[number].epoch_tokens for number in numbers)
        lines.append(
            f"source          {source}: {trained:,} tokens from {own:,}"
            + (f" ({an_epoch:,} an epoch by the weights of documents)" if is_weighted else "")
            + f", {trained / max(1, sum(read)):.1%} of the run, {max(epochs.values()):.2f} epochs"
        )
        if times > MANY_EPOCHS:
            warnings.append(
                f"warning         {source} is read {max(epochs.values()):.1f} times"
                + (f", and its heaviest documents {times:.1f} times" if is_weighted else "")
                + f"; beyond {MANY_EPOCHS} epochs repeated tokens teach less and less"
            )
    return lines + warnings


def epochs_of_increments(plan: Plan, read: tuple[int, ...], source: str) -> dict[int, float]:
    """Epochs of each increment of a source, `read` being the positions that are read of each part."""
    tokens: dict[int, list[int]] = {}
    for part, positions in zip(plan.parts, read, strict=True):
        if part.source == source:
            done, of = tokens.get(part.number, [0, 0])
            tokens[part.number] = [done + positions, of + part.epoch_tokens]
    return {increment: done / of for increment, (done, of) in tokens.items()}


def explain(job: Job, *, device: str, utilisation: float) -> list[str]:
    """The whole report; reads some windows of the tokens. `device` names a GPU, `utilisation` is the MFU that the
    hours are reckoned with."""
    config, plan = job.config, job.plan
    vocabulary = job.table.tokenizer.vocabulary_size
    lines, flops = describe(job), 0.0
    last_form = None
    for index, stage in enumerate(plan.stages):
        if stage.first_batch >= config.steps:
            continue
        end = min([config.steps, *(later.first_batch for later in plan.stages[index + 1 : index + 2])])
        form = (stage.packing, stage.sequence_length, stage.tokens_version)
        if form != last_form:
            quality = packing_quality(plan, job.table, index)
        tokens = (end - stage.first_batch) * stage.batch_tokens
        flops += step_flops(config.model, vocabulary, tokens, round(tokens * quality.squared_length_per_token))
        weights = (
            ", ".join(f"{source} {weight:g}" for source, weight in stage.weights)
            or "sources by what is left of their epochs"
        )
        lines.append(
            f"stage           steps {stage.first_batch:,} to {end:,}: {stage.batch_sequences:,} sequences of "
            f"{stage.sequence_length:,}, {weights}"
        )
        if form != last_form:
            cut, too_long = (count / max(1, quality.documents) for count in (quality.cut, quality.too_long))
            lines.append(
                f"packing         {stage.packing}: {cut:.1%} of documents cut ({too_long:.1%} are longer than a "
                f"sequence), "
                f"no padding; looked at {quality.documents:,} documents"
            )
        last_form = form
    return [*lines, *_cost_lines(job, flops, device, utilisation)]


def _cost_lines(job: Job, flops: float, device: str, utilisation: float) -> list[str]:
    config = job.config
    vocabulary = job.table.tokenizer.vocabulary_size
    memory = memory_per_rank(config, job.world_size, vocabulary)
    # Active weights are what a token is computed with, and what the law was fitted on.
    parameters = config.model.active_parameters(vocabulary)
    tokens = job.plan.tokens_before(config.steps)
    best = optimal_for_flops(CHINCHILLA, 6.0 * parameters * tokens)
    lines = [
        f"operations      {flops:.3g} FLOPs",
        f"memory a rank   {memory.total / GIBIBYTE:.2f} GiB: weights {memory.weights / GIBIBYTE:.2f}, gradients "
        f"{memory.gradients / GIBIBYTE:.2f}, "
        f"optimizer {memory.optimizer / GIBIBYTE:.2f}, activations {memory.activations / GIBIBYTE:.2f}, logits "
        f"{memory.logits / GIBIBYTE:.2f}",
    ]
    peak = peak_flops(device)
    if peak is not None:
        hours = training_hours(flops, job.world_size, peak, utilisation)
        length = f"{hours:,.1f} hours" if hours >= 1 else f"{hours * 3600:,.0f} seconds"
        lines.append(f"time            {length} on {job.world_size} x {device} at {utilisation:.0%} MFU")
    ratio = f"compute-optimal {tokens / parameters:.1f} tokens a weight; "
    if parameters < SMALLEST_OF_LAW:
        return [
            *lines,
            ratio
            + "the model is smaller than any that the published law was fitted to: `pretrain scaling fit` makes one of "
            "your own runs",
        ]
    return [
        *lines,
        f"{ratio}for this compute {best.parameters:.3g} weights and {best.tokens:.3g} tokens "
        f"({best.tokens_per_parameter:.1f} a weight) "
        f"are expected best: loss {best.loss:.3f}, this run's {CHINCHILLA.loss(parameters, tokens):.3f}",
    ]
