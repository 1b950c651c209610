"""What a run writes down of its steps, on real ranks: the same numbers in every layout, spikes left out, rolled
back, and traced to their documents."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tokenizers import Tokenizer

from schemas.plumbing.errors import UsageError
from schemas.plumbing.exit_codes import DECISION_NEEDED
from schemas.tables.incidents import INCIDENTS, SUSPECTS
from training.checkpoints.commit import committed, read_commit
from training.order.skips import FILE
from training.reading.delta_tokens import open_tokens
from training.reading.token_bytes import bytes_of_tokens
from training.settings.watching import SpikeConfig
from training.spikes.incidents import read_incidents
from training.spikes.quarantine import quarantine
from training.spikes.spikes import SpikeState
from training.watching.metrics import read_metrics

pytestmark = pytest.mark.distributed

STEPS = 150
BAD_BATCHES = (60, 64)
"""Batches [first, end) that are made of random tokens."""
BATCH_TOKENS, SEQUENCE = 256, 32
SOURCES = ("news", "web")

LAYOUTS = {
    # name: (ranks, parallel)
    "one rank": (1, {}),
    "tensor 2": (2, {"tensor": 2, "sequence_parallel": True}),
    "pipeline 2": (2, {"pipeline": 2}),
    "data 2 with a shared optimizer": (2, {"shard_optimizer": True}),
    "context 2": (2, {"context": 2}),
}

Runs = dict[str, Path]


def job(lake: Path, out: Path, ranks: int = 2, **parts: Any) -> dict[str, Any]:
    config = {
        "data": {"sequence_length": SEQUENCE, "held_out_tokens": 4000},
        "model": {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64},
        "batch": {"tokens": BATCH_TOKENS, "micro_sequences": 2},
        "optimizer": {"learning_rate": 4e-3},
        "schedule": SCHEDULE,
        "steps": STEPS,
        "checkpoint": {"every": 20, "keep": 3},
        "sample": {"lines": 0},
        "evaluation": {"every": STEPS},
        "watch": {"statistics_every": 0, "tensorboard": False},
    }
    return {"lake": str(lake), "out": str(out), "ranks": ranks, "config": {**config, **parts}}


SCHEDULE = {"warmup_steps": 10, "final_ratio": 0.01}
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
    mixed = [row for source in SOURCES for row in rows_of(tokenizer, texts_of(60, seed=len(source)), source)]
    lakes = {
        "clean": new_lake(folder / "clean", rows, tokenizer, rows_per_group=40),
        "bad": new_lake(
            folder / "bad", with_planted_documents(rows, tokenizer.get_vocab_size()), tokenizer, rows_per_group=40
        ),
        "mixed": new_lake(folder / "mixed", mixed, tokenizer),
    }
    outs = {name: folder / "runs" / name for name in ("clean", "guarded", "forewarned", "resumed", "stopped", *LAYOUTS)}
    outs["forewarned"].mkdir(parents=True)
    (outs["forewarned"] / FILE).write_text(json.dumps({"spikes": SpikeState().to_json(), "skips": [[60, 65]]}))
    jobs = [
        job(lakes["clean"], outs["clean"], spikes=GUARD),
        job(lakes["bad"], outs["guarded"], spikes=GUARD),
        job(lakes["bad"], outs["forewarned"], spikes=GUARD, steps=80, schedule={**SCHEDULE, "end_step": STEPS}),
        {
            **job(lakes["bad"], outs["resumed"], ranks=1, spikes=GUARD),
            "continues": str(outs["guarded"]),
            "checkpoint": "step-00000140",
        },
    ]
    stopping = {**GUARD, "max_rollbacks": 0}
    jobs.append({**job(lakes["bad"], outs["stopped"], spikes=stopping), "exit_code": DECISION_NEEDED})
    printed = {name: folder / f"{name}.txt" for name in ("replay of the incident", "replay of a step")}
    # Three steps at the plateau of the first steps have large gradients; then come the three spikes.
    for path, asked in zip(printed.values(), (["--incident", "6"], ["--step", "130"]), strict=True):
        jobs.append(
            {
                "command": ["replay", str(outs["guarded"]), "--lake", str(lakes["bad"]), *asked],
                "ranks": 1,
                "out": str(path),
            }
        )
    for name, (ranks, parallel) in LAYOUTS.items():
        watch = {"statistics_every": 1, "tensorboard": True}
        # AdamW's first update is little more than the signs of the gradient, which makes rounding large; only it has a
        # state to share.
        optimizer = {"kind": "adamw" if parallel.get("shard_optimizer") else "sgd", "learning_rate": 0.1}
        jobs.append(
            job(lakes["mixed"], outs[name], ranks, parallel=parallel, steps=2, watch=watch, optimizer=optimizer)
        )
    run_jobs(jobs, ranks=2)
    return {**outs, **printed, **{f"{name} lake": path for name, path in lakes.items()}}


def with_planted_documents(rows: list[dict[str, Any]], vocabulary: int) -> list[dict[str, Any]]:
    """The rows with random tokens in the documents that lie within the bad batches."""
    first, end = (batch * BATCH_TOKENS for batch in BAD_BATCHES)
    draw, place, found = np.random.default_rng(5), 0, []
    for row in rows:
        if first <= place and place + row["n_tokens"] <= end:
            tokens = draw.integers(2, vocabulary, row["n_tokens"]).astype("<u2")
            found.append({**row, "doc_id": "bad" + row["doc_id"][3:], "tokens": tokens.tobytes()})
        else:
            found.append(row)
        place += row["n_tokens"]
    return found


def test_a_planted_shard_is_detected_rolled_back_and_left_out(runs: Runs) -> None:
    spikes = [row for row in read_incidents(runs["guarded"]) if row["kind"] == "loss"]
    assert [row["action"] for row in spikes] == ["skip", "skip", "roll_back"]
    assert BAD_BATCHES[0] <= spikes[0]["batch"] < BAD_BATCHES[0] + 5
    last = spikes[-1]
    assert (last["rolled_back_to"], last["skipped_from"], last["skipped_until"]) == (60, 60, 65)
    steps = read_metrics(runs["guarded"])
    assert [step.step for step in steps] == list(range(1, STEPS + 1))
    assert [step.batch for step in steps] == [*range(60), *range(65, STEPS + 5)]
    assert {step.update for step in steps[60:]} == {"applied"}
    assert read_commit(committed(runs["guarded"])[-1]).state["skips"] == [[60, 65]]


def test_the_final_loss_is_within_one_percent_of_a_clean_runs(runs: Runs) -> None:
    clean, guarded = (
        [json.loads(line) for line in (runs[name] / "evaluation.jsonl").read_text().splitlines()][-1]
        for name in ("clean", "guarded")
    )
    assert (clean["step"], clean["tokens"]) == (guarded["step"], guarded["tokens"]) == (STEPS, clean["tokens"])
    assert guarded["loss"] == pytest.approx(clean["loss"], rel=0.01)


def test_after_a_rollback_a_run_is_one_that_never_saw_the_batches(runs: Runs) -> None:
    expected, found = read_metrics(runs["forewarned"]), read_metrics(runs["guarded"])[:80]
    assert [(step.batch, step.batch_hash, step.learning_rate) for step in found] == [
        (step.batch, step.batch_hash, step.learning_rate) for step in expected
    ]
    assert [step.loss for step in found] == pytest.approx([step.loss for step in expected], abs=1e-6)


def test_an_incident_names_the_planted_documents_first(runs: Runs) -> None:
    rows = pa.table(DeltaTable(str(runs["bad lake"] / "incidents")).to_pyarrow_table()).to_pylist()
    rows = [row for row in rows if row["run"] == str(runs["guarded"]) and row["kind"] == "loss"]
    assert set(rows[0]) == set(INCIDENTS.column_names)
    by_id = {row["incident_id"]: row for row in read_incidents(runs["guarded"])}
    for row in rows:
        assert by_id[row["incident_id"]]["doc_ids"] == row["doc_ids"]
        planted = [name.startswith("bad") for name in row["doc_ids"]]
        assert planted == sorted(planted, reverse=True) and planted[0]
        assert row["excesses"][0] > 2


def test_a_checkpoint_knows_what_is_left_out(runs: Runs) -> None:
    expected, found = read_metrics(runs["guarded"])[140:], read_metrics(runs["resumed"])[140:]
    assert [(step.batch, step.batch_hash) for step in found] == [(step.batch, step.batch_hash) for step in expected]
    assert [step.loss for step in found] == pytest.approx([step.loss for step in expected], abs=1e-3)
    assert (
        [step.tokens for step in found]
        == [step.tokens for step in expected]
        == [BATCH_TOKENS * step for step in range(141, STEPS + 1)]
    )


def test_a_replay_finds_the_data_at_fault_where_they_are(runs: Runs) -> None:
    planted, ordinary = (runs[name].read_text() for name in ("replay of the incident", "replay of a step"))
    assert "verdict     data fault" in planted
    assert "document bad" in planted
    assert "verdict     state fault" in ordinary
    assert "document" not in ordinary


def test_documents_are_suspects_only_once_a_replay_has_found_the_data_at_fault(runs: Runs) -> None:
    out, lake = runs["guarded"], str(runs["bad lake"])
    with pytest.raises(UsageError, match="was not replayed"):
        quarantine(out, lake, 1, SpikeConfig(), force=False)
    written = quarantine(out, lake, rolled_back(out), SpikeConfig(), force=False)
    rows = pa.table(DeltaTable(f"{lake}/suspects").to_pyarrow_table()).to_pylist()
    assert set(rows[0]) == set(SUSPECTS.column_names)
    assert [row["doc_id"] for row in rows] == written
    assert {name[:3] for name in written} == {"bad"} and {row["verdict"] for row in rows} == {"data fault"}


def test_a_run_that_may_not_roll_back_any_more_stops_and_asks(runs: Runs) -> None:
    messages = [(runs["stopped"] / f"error-{rank}.txt").read_text() for rank in (0, 1)]
    assert messages[0] == messages[1]
    assert messages[0].startswith("step 63: the loss still spikes after 0 rollback(s)")
    assert read_incidents(runs["stopped"])[-1]["action"] == "stop"


@pytest.mark.parametrize("layout", list(LAYOUTS)[1:])
def test_every_layout_measures_the_same_by_layer_and_by_source(runs: Runs, layout: str) -> None:
    (expected, _), (found, _) = (statistics(runs[name]) for name in ("one rank", layout))
    assert list(found["layers"]) == list(expected["layers"]) == ["embedding", "layer 1", "layer 2", "final norm"]
    for name, layer in expected["layers"].items():
        other_update = {"update_ratio"} if "optimizer" in layout else set()
        compared = {measure for measure, value in layer.items() if value is not None} - other_update
        for measure in compared:
            assert found["layers"][name][measure] == pytest.approx(layer[measure], rel=1e-5), (name, measure)
    one, other = (read_metrics(runs[name])[0] for name in ("one rank", layout))
    assert {name: source.tokens for name, source in other.sources.items()} == {
        name: source.tokens for name, source in one.sources.items()
    }
    for name in SOURCES:
        assert other.sources[name].loss == pytest.approx(one.sources[name].loss, abs=1e-6)
    assert other.bits_per_byte == pytest.approx(one.bits_per_byte, rel=1e-6)


def test_layers_add_up_to_the_gradient_norm_and_updates_are_small(runs: Runs) -> None:
    line = statistics(runs["one rank"])[0]
    whole = math.hypot(*(layer["gradient_norm"] for layer in line["layers"].values()))
    assert whole == pytest.approx(read_metrics(runs["one rank"])[0].gradient_norm, rel=1e-5)
    assert all(0 < layer["update_ratio"] < 0.2 for layer in line["layers"].values())
    assert all(
        layer["activation_rms"] < layer["activation_largest"]
        for name, layer in line["layers"].items()
        if name.startswith("layer")
    )


def test_losses_by_source_and_bytes_add_up(runs: Runs) -> None:
    sizes = bytes_of_tokens(open_tokens(str(runs["mixed lake"]), None).tokenizer.definition)
    for step in read_metrics(runs["one rank"]):
        assert sum(source.tokens for source in step.sources.values()) == BATCH_TOKENS
        assert sum(source.loss * source.tokens for source in step.sources.values()) / BATCH_TOKENS == pytest.approx(
            step.loss, rel=1e-9
        )
        # A tokenizer of 320 tokens: between one and a few bytes each.
        assert 1 / sizes.max() < step.bits_per_byte * math.log(2) / step.loss < 1.1
        assert step.mfu is None and step.flops_per_second > 0 and step.host_bytes > 1 << 20


def rolled_back(out: Path) -> int:
    """The number of the incident that led to the rollback."""
    return next(number for number, row in enumerate(read_incidents(out), start=1) if row["action"] == "roll_back")


def statistics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "statistics.jsonl").read_text().splitlines()]
