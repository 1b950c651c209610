"""From a page to the steps that saw it: the inverse of the order, computed from the plan; no log of what was read is
kept or needed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from training.audit.past_run import PastRun
from training.audit.provenance import find_pages
from training.order.plan import Plan
from training.order.skips import Skips, batch_of_step, step_of_batch
from training.reading.delta_tokens import PartReader, TokenTable
from training.reading.pick_ups import PickUps, known_at
from training.reading.withdrawn import increments_read


@dataclass(frozen=True)
class Exposure:
    """`tokens` tokens of a document that step `step` (the first is 1) reads, in row `row` of its global batch;
    `seen` where the run has done that step."""

    doc_id: str
    step: int
    row: int
    tokens: int
    epoch: int
    seen: bool


def exposures(
    plan: Plan,
    table: TokenTable,
    doc_ids: set[str],
    *,
    done: int,
    steps: int,
    skips: Skips,
    pick_ups: PickUps = (),
) -> list[Exposure]:
    """Every reading of the documents in a run of `steps` steps of which `done` are done, by step. Batches that were
    skipped are left out, and so are readings after the run knew that the document is withdrawn."""
    found: list[Exposure] = []
    until = batch_of_step(steps, skips)
    places: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    known = {count: table.withdrawn.first(count) for count in {0, *(count for _, count in pick_ups)}}
    for number, part in enumerate(plan.parts):
        reader = PartReader(table, part.source, part.number)
        increment = part.source, part.number
        if increment not in places:
            places[increment] = reader.places(doc_ids)
        for doc_id, start, end in places[increment]:
            # What is held out is never read, and the last token is a target only.
            for reading in plan.readings(number, start, min(end, part.tokens), reader.document_ends, until):
                step = step_of_batch(reading.batch, skips)
                withdrawn = known[known_at(pick_ups, reading.batch)]
                is_out = withdrawn.are_out([doc_id], part.number, increments_read(plan, reading.batch)).any()
                if step is not None and not is_out:
                    found.append(Exposure(doc_id, step + 1, reading.row, reading.tokens, reading.epoch, step < done))
    return sorted(found, key=lambda exposure: (exposure.step, exposure.row, exposure.doc_id))


def checkpoint_before(exposed: list[Exposure], committed_steps: list[int]) -> int | None:
    """The newest of the checkpoints that no exposure came before; None where there is none, or where nothing was
    seen yet."""
    first = min((exposure.step for exposure in exposed if exposure.seen), default=None)
    return max((step for step in committed_steps if first is not None and step < first), default=None)


def print_exposure(run: PastRun, lake: str, name: str) -> None:
    """The pages that `name` means, each reading of them as a line of JSON, and the sum of it in words."""
    pages = find_pages(lake, name)
    by_id = {page.doc_id: page for page in pages}
    found = exposures(
        run.plan,
        run.table,
        set(by_id),
        done=run.commit.step,
        steps=run.config.steps,
        skips=run.skips,
        pick_ups=run.pick_ups,
    )
    for exposure in found:
        print(json.dumps({**asdict(exposure), "url": by_id[exposure.doc_id].url}, ensure_ascii=False))
    seen = [exposure for exposure in found if exposure.seen]
    ahead = [exposure for exposure in found if not exposure.seen]
    before = checkpoint_before(found, run.checkpoint_steps)
    print(
        f"documents       {len(pages)}, of which {len({exposure.doc_id for exposure in seen})} have been read",
        file=sys.stderr,
    )
    print(f"seen            {_tokens(seen)} by step {run.commit.step}", file=sys.stderr)
    print(f"still ahead     {_tokens(ahead)} up to step {run.config.steps}", file=sys.stderr)
    if seen:
        where = f"that of step {before}" if before is not None else "none is left"
        print(f"last checkpoint before the first exposure, step {seen[0].step}: {where}", file=sys.stderr)


def _tokens(exposed: list[Exposure]) -> str:
    steps = {exposure.step for exposure in exposed}
    span = f" ({min(steps)} to {max(steps)})" if steps else ""
    return f"{sum(exposure.tokens for exposure in exposed):,} tokens in {len(steps):,} steps{span}"
