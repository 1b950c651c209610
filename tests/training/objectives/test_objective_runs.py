"""Real runs of each objective on real ranks: losses fall, layouts change nothing, z-loss and held-out losses are
what they say."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from training.config import TrainingConfig
from training.evaluation.evaluation_file import Evaluation, read_evaluations
from training.evaluation.held_out import HeldOutReader, held_out_stretches
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import TokenTable, open_tokens
from training.reading.loader import BatchReader
from training.reading.token_bytes import bytes_of_tokens
from training.watching.metrics import read_metrics

pytestmark = pytest.mark.distributed

SIZES = {
    "data": {"sequence_length": 32, "held_out_tokens": 500},
    "model": {"layers": 2, "hidden": 32, "heads": 4, "query_groups": 2, "ffn": 64, "tied": True},
    "batch": {"tokens": 256, "micro_sequences": 2},
    "schedule": {"warmup_steps": 4, "end_step": 60},
    "sample": {"lines": 0},
    "watch": {"tensorboard": False, "statistics_every": 0},
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "one rank": {},
    "tensor 2": {"tensor": 2, "sequence_parallel": True},
    "pipeline 2": {"pipeline": 2},
    "data 2": {},
    "context 2": {"context": 2},
}
Z_WEIGHT = 0.01
STEPS = {"causal": 20, "fill_in_the_middle": 60, "masked": 60}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "causal": {"z_loss": Z_WEIGHT},
    "fill_in_the_middle": {"fill_in_the_middle": {"rate": 0.9}},
    "masked": {},
}
RUNS = [("causal", layout) for layout in LAYOUTS] + [
    ("fill_in_the_middle", "one rank"),
    ("fill_in_the_middle", "data 2"),
    ("masked", "one rank"),
    ("masked", "tensor 2"),
    ("masked", "context 2"),
]

NEIGHBOURS = ("masked", "neighbours")
NEIGHBOUR_STEPS = 250
RING = random.Random(5).sample(range(40, 88), 48)
"""Tokens in an order in which each is followed by the next one, and the last by the first: all are equally frequent,
and a neighbour says which one it is."""

Runs = dict[tuple[str, str], Path]


def config_of(kind: str, layout: str) -> dict[str, Any]:
    return {
        **SIZES,
        "parallel": LAYOUTS[layout],
        "objective": {"kind": kind, **OBJECTIVES[kind]},
        # SGD shows any difference between layouts as it is; AdamW learns in fewer steps.
        "optimizer": {"kind": "sgd", "learning_rate": 0.1} if kind == "causal" else {"learning_rate": 1e-2},
        # AdamW makes much of small differences: twenty steps are few enough to compare layouts.
        "steps": STEPS[kind] if layout == "one rank" else 20,
        "checkpoint": {"every": 10 if (kind, layout) == ("causal", "one rank") else 60},
        "evaluation": {"every": 10, "tokens": 300},
    }


@pytest.fixture(scope="module")
def lake(two_source_lake: Callable[..., Path]) -> Path:
    return two_source_lake(80, 120)


@pytest.fixture(scope="module")
def lake_of_neighbours(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    rows_of: Callable[..., list[dict[str, Any]]],
) -> Path:
    """Documents of 20 to 60 tokens that follow the ring from a random place on."""
    draw, rows = random.Random(0), []
    for row in rows_of(tokenizer, [""] * 400):
        first = draw.randrange(len(RING))
        tokens = [RING[(first + place) % len(RING)] for place in range(draw.randint(20, 60))] + [
            tokenizer.token_to_id("<|endoftext|>")
        ]
        rows.append({**row, "n_tokens": len(tokens), "tokens": np.array(tokens, "<u2").tobytes()})
    return new_lake(tmp_path_factory.mktemp("neighbours"), rows, tokenizer)


def config_of_neighbours() -> dict[str, Any]:
    return {
        **SIZES,
        "model": {**SIZES["model"], "layers": 1, "hidden": 64, "ffn": 128},
        "batch": {"tokens": 512, "micro_sequences": 16},
        "schedule": {"warmup_steps": 10},
        "objective": {"kind": "masked"},
        "optimizer": {"learning_rate": 1e-2},
        "steps": NEIGHBOUR_STEPS,
        "checkpoint": {"every": NEIGHBOUR_STEPS},
        "evaluation": {"every": NEIGHBOUR_STEPS, "tokens": 500},
    }


@pytest.fixture(scope="module")
def table(lake: Path) -> TokenTable:
    return open_tokens(str(lake), None)


@pytest.fixture(scope="module")
def plan(table: TokenTable) -> Plan:
    return make_plan(TrainingConfig.model_validate(SIZES), table)


@pytest.fixture(scope="module")
def stretch_of_training(plan: Plan, table: TokenTable) -> list[list[int]]:
    """Tokens and targets of the eleventh batch, a row each."""
    batch = BatchReader(plan, table, rank=0, ranks=1).read(10)
    return np.concatenate([batch.tokens.reshape(-1, 32), batch.targets.reshape(-1, 32)]).tolist()


@pytest.fixture(scope="module")
def runs(
    lake: Path,
    lake_of_neighbours: Path,
    run_jobs: Callable[..., None],
    stretch_of_training: list[list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    folder = tmp_path_factory.mktemp("objectives")
    outs = {run: folder / str(number) for number, run in enumerate(RUNS)}
    jobs: list[dict[str, Any]] = [
        {
            "lake": str(lake),
            "out": str(out),
            "ranks": 1 if layout == "one rank" else 2,
            "config": config_of(kind, layout),
        }
        for (kind, layout), out in outs.items()
    ]
    causal = outs["causal", "one rank"]
    for step, tokens, name in ((10, stretch_of_training[:8], "logits.pt"), (20, held_out_rows(lake), "held_out.pt")):
        jobs.append(
            {
                "ranks": 1,
                "logits_of": str(causal / "checkpoints" / f"step-{step:08d}"),
                "tokens": tokens,
                "out": str(causal / name),
            }
        )
    for kind in ("causal", "masked"):
        out, last = outs[kind, "one rank"], f"step-{STEPS[kind]:08d}"
        two = [[*range(40, 71), 71], [*range(40, 71), 72]]
        jobs.append(
            {"ranks": 1, "logits_of": str(out / "checkpoints" / last), "tokens": two, "out": str(out / "last_token.pt")}
        )
    outs[NEIGHBOURS] = folder / "neighbours"
    jobs.append(
        {"lake": str(lake_of_neighbours), "out": str(outs[NEIGHBOURS]), "ranks": 1, "config": config_of_neighbours()}
    )
    run_jobs(jobs, ranks=2)
    return outs


def held_out_rows(lake: Path) -> list[list[int]]:
    """The held-out sequences that an evaluation takes, all sources."""
    table = open_tokens(str(lake), None)
    plan = make_plan(TrainingConfig.model_validate(SIZES), table)
    return held_out_batch(plan, table).tokens.reshape(-1, 32).tolist()


def held_out_batch(plan: Plan, table: TokenTable) -> Any:
    stretches = held_out_stretches(plan, table, 300)
    sizes = {"length": 32, "document_mask": False, "rank": 0, "ranks": 1, "micro_batches": 1, "micro_sequences": 20}
    return HeldOutReader(plan, table, stretches, **sizes).read(0)


def losses(out: Path) -> list[float]:
    return [step.loss for step in read_metrics(out)]


def by_name(evaluations: list[Evaluation]) -> dict[tuple[int, str, str], tuple[float, float | None, int]]:
    return {(one.step, one.source, one.objective): (one.loss, one.bits_per_byte, one.tokens) for one in evaluations}


@pytest.mark.parametrize(("kind", "layout"), [run for run in RUNS if run[1] != "one rank"])
def test_every_layout_has_the_losses_and_held_out_losses_of_one_rank(runs: Runs, kind: str, layout: str) -> None:
    tolerance = 1e-6 if kind == "causal" else 1e-3
    expected, found = runs[kind, "one rank"], runs[kind, layout]
    assert losses(found) == pytest.approx(losses(expected)[:20], abs=tolerance)
    assert [step.z_loss for step in read_metrics(found)] == pytest.approx(
        [step.z_loss for step in read_metrics(expected)[:20]], abs=1e-6
    )
    evaluations, wanted = (
        by_name([one for one in read_evaluations(out) if one.step <= 20]) for out in (found, expected)
    )
    assert evaluations.keys() == wanted.keys() and wanted
    for name, (loss, bits_per_byte, tokens) in wanted.items():
        assert evaluations[name] == (
            pytest.approx(loss, abs=tolerance),
            bits_per_byte and pytest.approx(bits_per_byte, abs=tolerance),
            tokens,
        ), name


def test_objectives_change_neither_the_batches_nor_their_hashes(runs: Runs) -> None:
    hashes = [[step.batch_hash for step in read_metrics(out)][:20] for out in (runs[run] for run in RUNS)]
    assert all(found == hashes[0] for found in hashes)


@pytest.mark.parametrize(("kind", "share"), [("fill_in_the_middle", 0.8), ("masked", 0.8)])
def test_the_loss_of_the_objective_falls_on_what_is_trained_on_and_on_what_is_not(
    runs: Runs, kind: str, share: float
) -> None:
    steps = losses(runs[kind, "one rank"])
    assert np.mean(steps[-5:]) < share * np.mean(steps[:2])
    found = by_name(read_evaluations(runs[kind, "one rank"]))
    for source in ("books", "web"):
        assert found[STEPS[kind], source, kind][0] < found[10, source, kind][0]


def test_an_encoder_learns_hidden_tokens_from_their_neighbours(runs: Runs) -> None:
    frequencies_alone = math.log(len(RING))
    steps = losses(runs[NEIGHBOURS])
    (held_out,) = [one.loss for one in read_evaluations(runs[NEIGHBOURS]) if one.step == NEIGHBOUR_STEPS]
    assert np.mean(steps[:10]) > frequencies_alone
    assert np.mean(steps[-20:]) < 0.5 * frequencies_alone
    assert held_out < 0.5 * frequencies_alone


def test_what_is_evaluated_is_text_from_left_to_right_and_the_objective_itself(runs: Runs) -> None:
    kinds = {kind: {one.objective for one in read_evaluations(runs[kind, "one rank"])} for kind in OBJECTIVES}
    assert kinds == {"causal": {"causal"}, "fill_in_the_middle": {"causal", "fill_in_the_middle"}, "masked": {"masked"}}
    assert all(
        (one.bits_per_byte is None) == (one.objective != "causal")
        for out in runs.values()
        for one in read_evaluations(out)
    )


def test_z_loss_is_the_mean_squared_log_of_the_denominator_and_no_part_of_the_loss(
    runs: Runs, stretch_of_training: list[list[int]]
) -> None:
    logits = torch.load(runs["causal", "one rank"] / "logits.pt").double()
    step = read_metrics(runs["causal", "one rank"])[10]
    assert step.z_loss == pytest.approx(Z_WEIGHT * float(logits.logsumexp(-1).square().mean()), abs=1e-6)
    targets = torch.tensor(stretch_of_training[8:])
    assert step.loss == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())), abs=1e-6
    )


def test_held_out_losses_are_those_of_the_checkpoint_s_logits(runs: Runs, plan: Plan, table: TokenTable) -> None:
    batch = held_out_batch(plan, table)
    targets, counted = torch.from_numpy(batch.targets[0]), torch.from_numpy(batch.counted[0])
    logits = torch.load(runs["causal", "one rank"] / "held_out.pt").double()
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    sizes = bytes_of_tokens(table.tokenizer.definition)
    found = by_name(read_evaluations(runs["causal", "one rank"]))
    for number, source in enumerate(plan.sources):
        chosen = counted & (torch.from_numpy(batch.sources[0]) == number)[:, None]
        total, size = float(nats[chosen].sum()), int(sizes[targets[chosen].numpy()].sum())
        assert found[20, source, "causal"] == (
            pytest.approx(total / 300, abs=1e-6),
            pytest.approx(total / math.log(2) / size, abs=1e-6),
            300,
        )


def test_the_summary_and_the_ledger_have_the_last_held_out_losses(runs: Runs, lake: Path) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable

    out = runs["causal", "one rank"]
    summary = json.loads((out / "summary.json").read_text())
    expected = {
        f"{source}/{kind}": loss
        for (step, source, kind), (loss, _, _) in by_name(read_evaluations(out)).items()
        if step == 20
    }
    assert summary["held_out_losses"] == expected
    rows = pa.table(DeltaTable(str(lake / "runs")).to_pyarrow_table()).to_pylist()
    assert [json.loads(row["counts"])["held_out_losses"] for row in rows if row["output_table"] == str(out)] == [
        expected
    ]


def test_an_encoder_sees_what_follows_and_a_decoder_does_not(runs: Runs) -> None:
    # Logits of all tokens but the last, in which alone two sequences differ.
    encoder, decoder = (torch.load(runs[kind, "one rank"] / "last_token.pt")[:, :-1] for kind in ("masked", "causal"))
    assert ((encoder[0] - encoder[1]).abs().amax(-1) > 0).all()
    assert torch.equal(decoder[0], decoder[1])
