"""What a run writes down of its steps, on real ranks: the same numbers in every layout, spikes left out, rolled back, and traced to their documents."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tokenizers import Tokenizer

from schemas.incidents import INCIDENTS
from training.commit import committed, read_commit
from training.incidents import read_incidents
from training.metrics import StepMetrics, read_metrics

pytestmark = pytest.mark.distributed

STEPS = 150
BAD_BATCHES = (60, 64)
"""Batches that are made of random tokens."""
BATCH_TOKENS, SEQUENCE = 256, 32

Runs = dict[str, Path]


def with_planted_documents(rows: list[dict[str, Any]], vocabulary: int, planted: bool) -> list[dict[str, Any]]:
    """The rows with random tokens in the documents that batches 60 to 63 are made of, or as they are."""
    first, end = (batch * BATCH_TOKENS for batch in BAD_BATCHES)
    draw, place, found = np.random.default_rng(5), 0, []
    for row in rows:
        last = place + row["n_tokens"]
        if planted and first <= place and last <= end:
            tokens = draw.integers(2, vocabulary, row["n_tokens"]).astype("<u2")
            row = {**row, "doc_id": "bad" + row["doc_id"][3:], "tokens": tokens.tobytes()}
        found.append(row)
        place = last
    return found


def job(lake: Path, out: Path, ranks: int = 2, **parts: Any) -> dict[str, Any]:
    config = {
        "data": {"sequence_length": SEQUENCE},
        "model": {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64},
        "batch": {"tokens": BATCH_TOKENS, "micro_sequences": 2},
        "optimizer": {"learning_rate": 4e-3},
        "schedule": {"warmup_steps": 10, "final_ratio": 0.01},
        "steps": STEPS,
        "checkpoint": {"every": 20, "keep": 3},
        "sample": {"lines": 0},
        "watch": {"statistics_every": 0},
    }
    return {"lake": str(lake), "out": str(out), "ranks": ranks, "config": {**config, **parts}}


GUARD = {"window": 24, "least_steps": 12, "rewind_steps": 0, "skip_before": 2, "skip_after": 2, "patience": 3}


@pytest.fixture(scope="module")
def runs(
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows_of: Callable[..., list[dict[str, Any]]],
    texts_of: Callable[..., list[str]],
    run_jobs: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    folder = tmp_path_factory.mktemp("watching")
    rows = rows_of(tokenizer, texts_of(500, seed=1))
    lakes = {
        name: new_lake(folder / name, with_planted_documents(rows, tokenizer.get_vocab_size(), name == "bad"), tokenizer, rows_per_group=40)
        for name in ("clean", "bad")
    }
    outs = {name: folder / "runs" / name for name in ("clean", "guarded", "unguarded")}
    jobs = [
        job(lakes["clean"], outs["clean"], spikes=GUARD),
        job(lakes["bad"], outs["guarded"], spikes=GUARD),
        job(lakes["bad"], outs["unguarded"], spikes={**GUARD, "action": "record"}),
    ]
    run_jobs(jobs, ranks=2)
    return {**outs, "bad lake": lakes["bad"]}


def mean_loss(steps: list[StepMetrics]) -> float:
    return sum(step.loss for step in steps[-20:]) / 20


def test_a_planted_shard_is_rolled_back_and_left_out(runs: Runs) -> None:
    clean, guarded, unguarded = (read_metrics(runs[name]) for name in ("clean", "guarded", "unguarded"))
    print(mean_loss(clean), mean_loss(guarded), mean_loss(unguarded))
    for row in read_incidents(runs["guarded"]):
        print({name: value for name, value in row.items() if not isinstance(value, list)}, row["doc_ids"][:6], row["excesses"][:6])
    print([round(step.loss, 3) for step in unguarded[35:60]])
    print([round(step.loss, 3) for step in clean[35:60]])
