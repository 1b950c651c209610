"""A real table of weighted documents: each is read as often as asked, in the same batches for every layout, restart
and cut of the table, and steps and documents are found from each other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import WriterProperties, write_deltalake
from tokenizers import Tokenizer

from schemas.tables.tokens import TOKENS
from training.audit.exposure import exposures
from training.audit.trace import trace_batch
from training.config import BatchConfig, DataConfig, StageConfig, TrainingConfig
from training.costs.plan_report import explain
from training.evaluation.held_out import held_out_stretches
from training.evaluation.memorisation import trained_stretches
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.prepare import prepare
from training.reading import documents
from training.reading.delta_tokens import TokenTable, open_tokens
from training.reading.documents import TableDocuments
from training.reading.loader import HASH_MASK, BatchReader, prefetch

Rows = list[dict[str, Any]]
WEIGHTS = (0.5, 1.0, 3.0)
BATCH_TOKENS = 512


@pytest.fixture(scope="module")
def rows(tokenizer: Tokenizer, rows_of: Callable[..., Rows], texts_of: Callable[..., list[str]]) -> Rows:
    """Books of weight 1, and pages of weights 0.5, 1 and 3, a fifth of which are appended later."""
    books = rows_of(tokenizer, texts_of(30, seed=2), "books")
    pages = rows_of(tokenizer, texts_of(150, seed=3), "web", WEIGHTS)
    later = [{**row, "increment": 1} for row in pages[::5]]
    return [*books, *(row for number, row in enumerate(pages) if number % 5), *later]


def lake_of(
    rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path], folder: Path, files: int, group: int
) -> Path:
    """The first increments in `files` files at versions below `files`, the later one at the next version."""
    first = [row for row in rows if row["increment"] == 0]
    lake = new_lake(folder, first, tokenizer, files, group)
    later = pa.Table.from_pylist([row for row in rows if row["increment"]], schema=TOKENS.arrow())
    write_deltalake(
        str(lake / "tokens"),
        later,
        mode="append",
        partition_by=TOKENS.partition_by,
        writer_properties=WriterProperties(max_row_group_size=group),
    )
    return lake


@pytest.fixture(scope="module")
def lake(
    rows: Rows, tokenizer: Tokenizer, new_lake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return lake_of(rows, tokenizer, new_lake, tmp_path_factory.mktemp("weighted"), 2, 13)


@pytest.fixture(scope="module")
def table(lake: Path) -> TokenTable:
    return open_tokens(str(lake), 1, (2,))


def config(*stages: StageConfig, **data: Any) -> TrainingConfig:
    settings = DataConfig.model_validate(
        {"sequence_length": 64, "shuffle_block": 2048, "window_sequences": 6, "tokens_version": 1, **data}
    )
    return TrainingConfig(data=settings, batch=BatchConfig(tokens=BATCH_TOKENS, micro_sequences=1), stages=stages)


STAGES = {
    "joined": (StageConfig(from_step=25, tokens_version=2),),
    "longer sequences": (StageConfig(from_step=25, sequence_length=128, tokens_version=2),),
    "packed, then by source": (
        StageConfig(from_step=15, packing="best_fit"),
        StageConfig(from_step=45, tokens_version=2, weights={"books": 0.2, "web": 0.8}),
    ),
}


@pytest.fixture(scope="module", params=STAGES)
def plan(request: pytest.FixtureRequest, table: TokenTable) -> Plan:
    return make_plan(config(*STAGES[request.param], document_mask=True), table)


def documents_read(plan: Plan, table: TokenTable, batches: int) -> dict[str, int]:
    """Tokens that were read of each document."""
    read: Counter[str] = Counter()
    for index in range(batches):
        for span in trace_batch(plan, table, index):
            read[span.doc_id] += span.end - span.start
    return read


def test_each_document_is_read_as_often_as_its_weight_says(table: TokenTable, rows: Rows) -> None:
    plan = make_plan(config(), table)
    epochs = 6
    an_epoch = sum(part.epoch_tokens for part in plan.parts if part.tokens_version == 1)
    read = documents_read(plan, table, round(epochs * an_epoch / BATCH_TOKENS))
    times = {weight: [] for weight in WEIGHTS}
    for row in rows:
        if row["increment"] == 0:
            times[row["weight"]].append(read[row["doc_id"]] / row["n_tokens"])
    for weight, found in times.items():
        # One a layer, and here and there the next epoch has begun or the last not ended.
        assert all(abs(count - epochs * weight) <= max(1, weight) + 1 for count in found)
        assert sum(found) / len(found) == pytest.approx(epochs * weight, rel=0.05)


def test_an_epoch_has_the_words_that_weights_ask_for(table: TokenTable, rows: Rows) -> None:
    plan = make_plan(config(), table)
    for source, increment in (("books", 0), ("web", 0), ("web", 1)):
        own = [row for row in rows if (row["source"], row["increment"]) == (source, increment)]
        asked = sum(row["weight"] * row["n_tokens"] for row in own) - own[-1]["weight"]  # the last is a target only
        parts = [part for part in plan.parts if (part.source, part.number) == (source, increment)]
        assert sum(part.epoch_tokens for part in parts) == pytest.approx(asked, abs=2)
        assert [part.layer for part in parts] == list(range(3 if source == "web" else 1))


def test_batches_are_the_same_for_every_layout_number_of_workers_and_after_a_restart(
    plan: Plan, table: TokenTable, lake: Path
) -> None:
    wanted = range(20, 50, 3)
    expected = [batch.hash for batch in prefetch(BatchReader(plan, table, rank=0, ranks=1), wanted, 2, 0)]
    assert len(set(expected)) == len(wanted)
    for ranks, micro_sequences, workers in itertools.product((1, 2, 4), (1, 2), (0, 2)):
        if min(stage.batch_sequences for stage in plan.stages) % (ranks * micro_sequences):
            continue
        stages = tuple(replace(stage, micro_sequences=micro_sequences) for stage in plan.stages)
        other = replace(plan, stages=stages)
        slices = [
            prefetch(BatchReader(other, table, rank=rank, ranks=ranks), wanted, 2, workers) for rank in range(ranks)
        ]
        assert [sum(batch.hash for batch in parts) & HASH_MASK for parts in zip(*slices, strict=True)] == expected
    # Another process that has the plan of a checkpoint and the table, and goes on in the middle.
    table_again = open_tokens(str(lake), 1, (2,))
    plan_again = Plan.from_dict(plan.to_dict(), TableDocuments(table_again))
    reader = BatchReader(plan_again, table_again, rank=0, ranks=1)
    assert [reader.read(index).hash for index in wanted[4:]] == expected[4:]


@pytest.mark.parametrize(("files", "group"), [(1, 500), (4, 3)])
def test_another_cut_into_files_and_row_groups_changes_nothing(
    plan: Plan,
    table: TokenTable,
    rows: Rows,
    tokenizer: Tokenizer,
    new_lake: Callable[..., Path],
    tmp_path: Path,
    files: int,
    group: int,
) -> None:
    again = open_tokens(str(lake_of(rows, tokenizer, new_lake, tmp_path / "lake", files, group)), files - 1, (files,))
    versions = {1: files - 1, 2: files}
    other = replace(
        plan,
        parts=tuple(replace(part, tokens_version=versions[part.tokens_version]) for part in plan.parts),
        stages=tuple(replace(stage, tokens_version=versions[stage.tokens_version]) for stage in plan.stages),
        documents=TableDocuments(again),
    )
    made = make_plan(config(tokens_version=files - 1), again)
    assert made.parts == other.parts
    for index in range(10, 60, 7):
        own = BatchReader(plan, table, rank=0, ranks=1).read(index)
        assert BatchReader(other, again, rank=0, ranks=1).read(index).hash == own.hash


def test_a_trace_holds_what_was_read_and_exposure_is_its_inverse(plan: Plan, table: TokenTable, rows: Rows) -> None:
    stored = {row["doc_id"]: np.frombuffer(row["tokens"], "<u2") for row in rows}
    reader, batches = BatchReader(plan, table, rank=0, ranks=1), 60
    expected: dict[str, Counter[tuple[int, int]]] = {row["doc_id"]: Counter() for row in rows}
    for index in range(batches):
        read = reader.read(index).tokens.reshape(-1, plan.stage_of(index).sequence_length)
        found = np.full(read.shape, -1)
        for span in trace_batch(plan, table, index):
            size = span.end - span.start
            found[span.row, span.start : span.end] = stored[span.doc_id][span.first_token : span.first_token + size]
            expected[span.doc_id][index + 1, span.row] += size
        assert np.array_equal(found, read)
    exposed: dict[str, Counter[tuple[int, int]]] = {row["doc_id"]: Counter() for row in rows}
    for one in exposures(plan, table, set(expected), done=batches, steps=batches, skips=()):
        exposed[one.doc_id][one.step, one.row] += one.tokens
    assert exposed == expected


def test_targets_are_what_is_stored_after_each_token_and_no_document_sees_another(
    table: TokenTable, rows: Rows
) -> None:
    plan = make_plan(config(document_mask=True), table)
    end = table.tokenizer.end_of_document_id
    for index in (0, 30, 90):
        batch = BatchReader(plan, table, rank=0, ranks=1).read(index)
        tokens, targets = batch.tokens.reshape(8, 64), batch.targets.reshape(8, 64)
        assert np.array_equal(batch.counted.reshape(8, 64), tokens != end)
        inside = (tokens != end)[:, :-1] & (np.diff(batch.documents.reshape(8, 64), axis=1) == 0)
        assert np.array_equal(targets[:, :-1][inside], tokens[:, 1:][inside])
        assert (np.diff(batch.documents.reshape(8, 64), axis=1)[tokens[:, :-1] == end] == 1).all()


def test_held_out_tokens_are_read_by_no_layer_and_held_out_once(table: TokenTable, rows: Rows) -> None:
    plan = make_plan(config(held_out_tokens=3000), table)
    (books, web) = held_out_stretches(plan, table, 1 << 20)
    assert books.end - books.start == web.end - web.start == 3000
    pages = [row for row in rows if row["source"] == "web" and row["increment"] == 0]
    bounds = np.cumsum([row["n_tokens"] for row in pages])
    kept = {row["doc_id"] for row, last in zip(pages, bounds, strict=True) if last - row["n_tokens"] >= web.start}
    read = documents_read(plan, table, 150)
    assert kept
    assert not kept & read.keys()
    assert all(row["doc_id"] in read for row in pages if row["weight"] >= 1 and row["doc_id"] not in kept)


def test_memorisation_counts_the_reads_of_all_layers(table: TokenTable) -> None:
    plan = make_plan(config(), table)
    steps = 2 * sum(part.epoch_tokens for part in plan.parts if part.tokens_version == 1) // BATCH_TOKENS
    reads = Counter(stretch.reads for stretch in trained_stretches(plan, table, steps=steps, skips=(), most=12))
    assert {1, 2, 6} <= reads.keys() <= {1, 2, 3, 5, 6, 7}


def test_the_report_says_what_an_epoch_reads_and_how_often_the_heaviest_are(lake: Path, tmp_path: Path) -> None:
    job = prepare(config().model_copy(update={"steps": 110}), str(lake), tmp_path, 1)
    an_epoch = sum(part.epoch_tokens for part in job.plan.parts if part.source == "web")
    own = next(part.tokens for part in job.plan.parts if part.source == "web")
    lines = explain(job, device="H100", utilisation=0.5)
    (web,) = [line for line in lines if line.startswith("source          web")]
    assert f"tokens from {own:,} ({an_epoch:,} an epoch by the weights of documents)" in web
    epochs = sum(job.plan.cursors(110)[1:]) / an_epoch
    assert web.endswith(f"{epochs:.2f} epochs")
    (warning,) = [line for line in lines if line.startswith("warning")]
    assert f"web is read {epochs:.1f} times, and its heaviest documents {3 * epochs:.1f} times" in warning
    assert "books" not in warning


def test_where_all_weights_are_1_no_document_is_looked_up(
    tokenizer: Tokenizer,
    rows_of: Callable[..., Rows],
    texts_of: Callable[..., list[str]],
    new_lake: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []
    read = documents.read_documents
    monkeypatch.setattr(documents, "read_documents", lambda *args: asked.append(args[1:]) or read(*args))
    texts = texts_of(60)
    for name, weights, lookups in (("ones", (1.0,), []), ("twos", (2.0,), []), ("halves", (0.5, 1.0), [("web", 0)])):
        table = open_tokens(
            str(new_lake(tmp_path / name, rows_of(tokenizer, texts, "web", weights), tokenizer, 2)), None
        )
        plan = make_plan(config(tokens_version=table.version), table)
        assert [(part.layer, part.weighted_tokens is None) for part in plan.parts] == {
            "ones": [(0, True)],
            "twos": [(0, True), (1, True)],
            "halves": [(0, False)],
        }[name]
        list(prefetch(BatchReader(plan, table, rank=0, ranks=1), range(8), 2, 2))
        # Once for the plan and all threads.
        assert asked == lookups
        asked.clear()
