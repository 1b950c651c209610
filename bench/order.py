"""Milliseconds to say what a global batch in the middle of a run of ten trillion tokens holds, and bytes of what a
checkpoint keeps of the order.

python bench/order.py
"""

from __future__ import annotations

import json
import time
from statistics import median

from training.order.plan import Part, Plan, PlanStage

SOURCES = 20
TOKENS = 10**13
REACHED = 10**12
TURNS = 20
REFRESHES = 100


def simulated_plan(increments: int = 1) -> Plan:
    """Two stages, the second with longer sequences, packing, and weights for each of 20 sources."""
    sources = [f"source {number:02}" for number in range(SOURCES)]
    tokens = TOKENS // SOURCES // increments
    parts = tuple(
        Part(source, increment, 7, tokens + number)
        for number, source in enumerate(sources)
        for increment in range(increments)
    )
    weights = tuple((source, 1.0 + number / 7) for number, source in enumerate(sources))
    stages = (
        PlanStage(0, 7, (), 4096, 1024, 2, "chop", False, 256),
        PlanStage(100_000, 7, weights, 8192, 2048, 2, "best_fit", True, 256),
    )
    return Plan(parts, stages, 1 << 20, 0)


def main() -> None:
    plan = simulated_plan()
    state = len(json.dumps(plan.to_dict()))
    second = plan.stages[1]
    batch = second.first_batch + (REACHED - plan.tokens_before(second.first_batch)) // second.batch_tokens
    started = time.perf_counter()
    # As after a restart: nothing of the plan has been worked out yet.
    simulated_plan().rows(batch)
    first = time.perf_counter() - started
    times = []
    for turn in range(TURNS):
        started = time.perf_counter()
        plan.rows(batch + turn)
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    simulated_plan(REFRESHES).rows(batch)
    refreshed = time.perf_counter() - started
    cursors = plan.cursors(batch)
    print(
        f"batch {batch:,} begins at token {plan.tokens_before(batch):,} of {TOKENS:,}; the cursors of {SOURCES} "
        f"sources add up to {sum(cursors):,}"
    )
    print(f"state       {state:>10,} bytes, and no index")
    print(f"first batch {first * 1e3:>10.1f} ms for {second.batch_sequences:,} sequences, the plan worked out anew")
    print(f"next        {median(times) * 1e3:>10.1f} ms a batch")
    print(f"first batch {refreshed * 1e3:>10.1f} ms where each source has {REFRESHES} increments")


if __name__ == "__main__":
    main()
