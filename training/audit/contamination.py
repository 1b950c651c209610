"""Which items of evaluation sets a run has read: the lake's table `decontamination` says which documents hold some,
and the plan which of these were read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from deltalake import DeltaTable

from schemas.tables.decontamination import DECONTAMINATION
from training.audit.exposure import exposures
from training.order.plan import Plan
from training.order.skips import Skips
from training.reading.delta_table import open_table
from training.reading.delta_tokens import TokenTable
from training.reading.pick_ups import PickUps


@dataclass(frozen=True)
class Overlap:
    """Documents of the lake that share an n-gram with an evaluation set, and those of them that the run has read;
    `whole_items` hold an item whole."""

    set_name: str
    documents: int
    documents_read: int
    whole_items_read: int


def overlaps(lake: str, plan: Plan, table: TokenTable, *, steps: int, skips: Skips, pick_ups: PickUps) -> list[Overlap]:
    """One for each evaluation set that `corpus run` looked for and found; none where it looked for none."""
    if not DeltaTable.is_deltatable(DECONTAMINATION.uri(lake)):
        return []
    rows = (
        open_table(lake, DECONTAMINATION)
        .to_pyarrow_dataset()
        .to_table(columns=["doc_id", "set_name", "item_share"])
        .to_pylist()
    )
    doc_ids = {row["doc_id"] for row in rows}
    exposed = exposures(plan, table, doc_ids, done=steps, steps=steps, skips=skips, pick_ups=pick_ups)
    seen = {one.doc_id for one in exposed}
    by_set = defaultdict(list)
    for row in rows:
        by_set[row["set_name"]].append(row)
    return [
        Overlap(
            set_name=name,
            documents=len(found),
            documents_read=sum(row["doc_id"] in seen for row in found),
            whole_items_read=sum(row["doc_id"] in seen and row["item_share"] == 1 for row in found),
        )
        for name, found in sorted(by_set.items())
    ]
