"""From a step to the documents that it trained on: recomputed from the plan, and checked by the hash that the run
recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from training.audit.past_run import PastRun
from training.audit.provenance import pages_of
from training.order.plan import Plan
from training.reading.delta_tokens import PartReader, TokenTable
from training.reading.loader import BatchReader
from training.reading.withdrawn import Increments, increments_read
from training.watching.metrics import read_metrics


@dataclass(frozen=True)
class TracedSpan:
    """Tokens [start, end) of row `row` of a global batch: those from `first_token` on of a document."""

    row: int
    start: int
    end: int
    source: str
    doc_id: str
    first_token: int


def trace_batch(plan: Plan, table: TokenTable, index: int, rank: int = 0, ranks: int = 1) -> list[TracedSpan]:
    """The documents of global batch `index`, or of a data-parallel rank's slice of it, in the order of its tokens;
    those that the table's withdrawals leave out are not among them."""
    readers: dict[int, PartReader] = {}
    rows, read = plan.rows(index, rank, ranks), increments_read(plan, index)
    traced: list[TracedSpan] = []
    for place, row in enumerate(rows, start=rank * len(rows)):
        part = plan.parts[row.part]
        reader = readers.setdefault(row.part, PartReader(table, part.source, part.number))
        spans = plan.grid(row.stage, row.part).stored(row.sequence, row.sequence + 1, reader.document_ends)
        traced += _documents(place, part.source, spans, reader, read)
    return traced


def print_trace(run: PastRun, lake: str, step: int, rank: int | None, ranks: int | None) -> None:
    """A line of JSON a stretch, with its page; last, whether the table still gives the batch that was trained on."""
    index = run.batch_of(step)
    table = run.table_at(index)
    spans = trace_batch(run.plan, table, index, rank or 0, 1 if rank is None else ranks or data_parallel(run))
    pages = pages_of(lake, (span.doc_id for span in spans))
    for span in spans:
        page = pages.get(span.doc_id)
        # A page that the corpus holds no more has no URL.
        where = (
            {"url": page.url, "warc_path": page.warc_path, "warc_offset": page.warc_offset} if page else {"url": None}
        )
        print(json.dumps({**asdict(span), **where}, ensure_ascii=False))
    recorded = next((line.batch_hash for line in read_metrics(run.out) if line.step == step), None)
    found = batch_hash(run.plan, table, index)
    verdict = (
        "is still to come"
        if recorded is None
        else "equals the recorded one"
        if recorded == found
        else f"DIFFERS from the recorded {recorded}"
    )
    print(f"batch {index} of step {step}: hash {found} {verdict}", file=sys.stderr)


def data_parallel(run: PastRun) -> int:
    """Data-parallel ranks of the newest checkpoint."""
    return int(run.commit.layout.split("data ")[1].split()[0])


def batch_hash(plan: Plan, table: TokenTable, index: int) -> str:
    """The hash of a global batch as metrics.jsonl has it, from the table with its withdrawals."""
    return f"{BatchReader(plan, table, rank=0, ranks=1).read(index).hash:010x}"


def _documents(
    row: int, source: str, spans: Iterator[tuple[int, int]], reader: PartReader, read: Increments
) -> Iterator[TracedSpan]:
    place = 0
    for start, end in spans:
        out = reader.withdrawn(start, end, read)
        for doc_id, first, last in reader.documents(start, end):
            low, high = max(first, start), min(last, end)
            if out[low - start]:
                continue
            yield TracedSpan(row, place + low - start, place + high - start, source, doc_id, low - first)
        place += end - start
