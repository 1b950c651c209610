"""How every signal that a rule limits is distributed over the documents with text, in bins that end exactly at the
limits.

A bin then lies wholly on one side of each limit, and the bars outside add up to what the rule rejects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from spark_jobs.lake.tables import Tables
from spark_jobs.signals import SIGNALS, SIGNALS_TABLE, Signal
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.signal_rules import SignalRule

BINS = 24
"""About how many bins a histogram has."""
COUNTS_END = 2048.0
"""Counts of things from here on share the last bin, unless a limit lies near or above."""


@dataclass(frozen=True)
class Histogram:
    """Documents by the value of one signal. Bin i holds [edges[i], edges[i + 1]), the last all from edges[-1] on;
    `passes` tells the limits' side of each."""

    rule: SignalRule
    exceptions: tuple[str, ...]
    """Languages for whose documents the policy has other limits than those shown."""
    description: str
    source: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    passes: tuple[bool, ...]

    @property
    def documents(self) -> int:
        return sum(self.counts)

    @property
    def rejected(self) -> int:
        return sum(count for count, passes in zip(self.counts, self.passes, strict=True) if not passes)


def gather_histograms(tables: Tables, policy: Policy) -> tuple[Histogram, ...]:
    """One for each rule of the policy on a signal, in its order, from one pass over the numbers."""
    signals = {signal.key: signal for signal in SIGNALS}
    edges = [bin_edges(signals[rule.signal], rule) for rule in policy.signal_rules]
    columns = [rule.column for rule in policy.signal_rules]
    counted = {}
    if columns:

        def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from count_bins(batches, columns, edges)

        found = (
            tables.of(SIGNALS_TABLE)
            .select(*dict.fromkeys(columns))
            .mapInArrow(count, "rule int, bin int, documents bigint")
        )
        counted = {
            (row["rule"], row["bin"]): row["documents"]
            for row in found.groupBy("rule", "bin").agg(F.sum("documents").alias("documents")).collect()
        }
    return tuple(
        Histogram(
            rule=rule,
            exceptions=tuple(language.language for language in policy.languages if rule.name in language.limits),
            description=signals[rule.signal].description,
            source=signals[rule.signal].source,
            edges=edges[i],
            counts=tuple(counted.get((i, j), 0) for j in range(len(edges[i]))),
            passes=tuple(
                (rule.min is None or low >= rule.min) and (rule.max is None or low <= rule.max) for low in edges[i]
            ),
        )
        for i, rule in enumerate(policy.signal_rules)
    )


def count_bins(
    batches: Iterator[pa.RecordBatch], columns: list[str], edges: list[tuple[float, ...]]
) -> Iterator[pa.RecordBatch]:
    """Rows (rule, bin, documents) of one task: as many as there are filled bins, however many documents it has."""
    totals = [np.zeros(len(edge), np.int64) for edge in edges]
    for batch in batches:
        for total, column, edge in zip(totals, columns, edges, strict=True):
            # A model's signal is null where there was no model for the document.
            values = pc.drop_null(pc.cast(batch.column(column), pa.float64())).to_numpy(zero_copy_only=False)
            total += np.bincount(np.searchsorted(edge, values, side="right") - 1, minlength=len(edge))
    rows = [(i, int(j), int(total[j])) for i, total in enumerate(totals) for j in np.flatnonzero(total)]
    schema = pa.schema([("rule", pa.int32()), ("bin", pa.int32()), ("documents", pa.int64())])
    yield pa.RecordBatch.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def bin_edges(signal: Signal, rule: SignalRule) -> tuple[float, ...]:
    """Lower ends of the bins, the first 0. A value equal to `max` passes, so the next bin begins just above it."""
    whole = signal.type == "long"
    above_max = None if rule.max is None else rule.max + 1 if whole else math.nextafter(rule.max, math.inf)
    limits = sorted({float(limit) for limit in (rule.min, above_max) if limit is not None and limit > 0})
    if whole and signal.at_most is None:
        return _doubling(limits)
    if whole:
        return tuple(float(n) for n in range(int(signal.at_most or 0) + 1))
    scale = max(rule.min or 0.0, rule.max or 0.0) or 1.0
    # A maximum far below 1 would vanish at the left end of the whole range.
    top = 4 * scale if rule.min is None else 2 * scale
    if signal.at_most is not None:
        top = min(top, signal.at_most) if rule.min is None else signal.at_most
    inside = [limit for limit in limits if limit <= top]
    return _even([0.0, *inside, top], fold_last=top == signal.at_most and top not in inside)


def _even(breaks: list[float], *, fold_last: bool) -> tuple[float, ...]:
    """Every stretch between breaks in bins of about equal width; `fold_last` counts the end itself to the last bin,
    else all beyond is one more."""
    edges: list[float] = []
    for low, high in pairwise(breaks):
        bins = max(1, round((high - low) / breaks[-1] * BINS)) if high > low else 0
        edges += [low + (high - low) * i / bins for i in range(bins)]
    return tuple(edges) if fold_last else (*edges, breaks[-1])


def _doubling(limits: list[float]) -> tuple[float, ...]:
    """0, then numbers that about double, with an edge at each limit."""
    breaks = sorted({1.0, *limits, max([COUNTS_END, *(4 * limit for limit in limits)])})
    edges = {0.0, breaks[-1]}
    for low, high in pairwise(breaks):
        bins = max(1, round(math.log2(high / low)))
        edges |= {float(round(low * (high / low) ** (i / bins))) for i in range(bins)}
    return tuple(sorted(edges))
