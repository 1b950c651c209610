"""What a run read of a document before it knew that it is withdrawn, and after: steps are verified with what was known
at each, and exposure ends where the run took it up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.tables.withdrawn import WITHDRAWN
from training.audit.exposure import exposures
from training.audit.past_run import PastRun
from training.audit.trace import batch_hash, print_trace, trace_batch
from training.checkpoints.commit import Commit
from training.config import BatchConfig, DataConfig, TrainingConfig
from training.costs.plan_report import withdrawn_lines
from training.lake_tables import append_rows
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.prepare import prepare
from training.reading.delta_tokens import TokenTable, open_tokens
from training.reading.loader import BatchReader
from training.reading.pick_ups import record_pick_ups

Rows = list[dict[str, Any]]
BATCHES = 80
"""More than two epochs."""
TAKEN_UP = 30


@pytest.fixture(scope="module")
def rows(two_sources: Callable[[int, int], Rows]) -> Rows:
    return two_sources(40, 80)


@pytest.fixture(scope="module")
def lake(two_source_lake: Callable[..., Path], rows: Rows) -> Path:
    lake = two_source_lake(40, 80, files=3, rows_per_group=17)
    for number, row in enumerate(rows[50:52]):
        out = {"doc_id": row["doc_id"], "source": row["source"], "increment": 0, "n_tokens": row["n_tokens"]}
        out |= {"withdrawal": number, "tokens_version": 2, "reason": "left", "replaced_by": None}
        append_rows(str(lake), WITHDRAWN, [out])
    return lake


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    data = DataConfig(sequence_length=64, shuffle_block=512, window_sequences=6, tokens_version=2)
    return TrainingConfig(data=data, batch=BatchConfig(tokens=512, micro_sequences=1), steps=BATCHES)


@pytest.fixture(scope="module")
def table(lake: Path) -> TokenTable:
    return open_tokens(str(lake), 2)


@pytest.fixture(scope="module")
def plan(config: TrainingConfig, table: TokenTable) -> Plan:
    return make_plan(config, table)


@pytest.fixture
def run(config: TrainingConfig, plan: Plan, table: TokenTable, tmp_path: Path) -> PastRun:
    """A run of 60 steps that took up the first withdrawal of two."""
    state = {"withdrawals": [[TAKEN_UP, 1]]}
    commit = Commit(60, "data 1", "", 320, 0, {}, plan.hash(), config.model_dump(mode="json"), state)
    return PastRun(tmp_path, commit, config, plan, table)


def test_exposure_is_the_inverse_of_trace_with_what_was_known_at_each_batch(run: PastRun, rows: Rows) -> None:
    expected: dict[str, dict[tuple[int, int], int]] = {}
    for index in range(BATCHES):
        for span in trace_batch(run.plan, run.table_at(index), index):
            seen = expected.setdefault(span.doc_id, {})
            seen[index + 1, span.row] = seen.get((index + 1, span.row), 0) + span.end - span.start
    sizes = {"done": 60, "steps": BATCHES, "skips": (), "pick_ups": run.pick_ups}
    for row in rows[45:55]:
        found: dict[tuple[int, int], int] = {}
        for one in exposures(run.plan, run.table, {row["doc_id"]}, **sizes):
            found[one.step, one.row] = found.get((one.step, one.row), 0) + one.tokens
        assert found == expected[row["doc_id"]]
    steps = [one.step for one in exposures(run.plan, run.table, {rows[50]["doc_id"]}, **sizes)]
    assert steps and max(steps) <= TAKEN_UP
    # The second one was withdrawn after the run had ended.
    assert max(one.step for one in exposures(run.plan, run.table, {rows[51]["doc_id"]}, **sizes)) > TAKEN_UP


def test_steps_before_and_after_are_verified_with_what_was_known(
    run: PastRun, lake: Path, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = {}
    for index in range(60):
        table = run.table.withdrawn.first(0 if index < TAKEN_UP else 1)
        reader = BatchReader(run.plan, TokenTable(*fields_of(run.table), table), rank=0, ranks=1)
        hashes[index + 1] = f"{reader.read(index).hash:010x}"
    facts = {"loss": 1.0, "learning_rate": 0, "gradient_norm": 1.0, "tokens": 0, "tokens_per_second": 0, "data_wait": 0}
    lines = [json.dumps({"step": step, "batch_hash": found, **facts}) for step, found in hashes.items()]
    (run.out / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    reads = {one.step for one in exposures(run.plan, run.table, {rows[50]["doc_id"]}, done=60, steps=60, skips=())}
    before, after = (
        min(step for step in reads if step <= TAKEN_UP),
        min(step for step in reads if step > TAKEN_UP),
    )
    for step in (before, after):
        print_trace(run, str(lake), step, None, None)
        printed = capsys.readouterr()
        assert printed.err.endswith(f"hash {hashes[step]} equals the recorded one\n")
        named = {json.loads(line)["doc_id"] for line in printed.out.splitlines()}
        assert (rows[50]["doc_id"] in named) == (step == before)
    # The table as it is read now is another one.
    assert batch_hash(run.plan, run.table, before - 1) != hashes[before]


def test_what_a_run_took_up_after_its_newest_checkpoint_is_in_its_folder(run: PastRun) -> None:
    assert run.pick_ups == ((TAKEN_UP, 1),)
    record_pick_ups(run.out, ((TAKEN_UP, 1), (65, 2)))
    assert run.pick_ups == ((TAKEN_UP, 1), (65, 2))


def test_a_plan_says_how_much_of_what_is_stored_is_left_out(
    lake: Path, config: TrainingConfig, rows: Rows, table: TokenTable
) -> None:
    out = rows[50]["n_tokens"] + rows[51]["n_tokens"]
    (line,) = withdrawn_lines(prepare(config, str(lake), lake / "no run", 1))
    assert line == (f"withdrawn       {out:,} of these tokens ({out / table.tokens:.2%}) in 2 document(s) are left out")


def fields_of(table: TokenTable) -> tuple[Any, ...]:
    return table.uri, table.versions, table.files, table.tokenizer
