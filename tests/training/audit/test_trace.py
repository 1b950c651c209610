"""From steps to documents and back, on a real table: what is traced is what was read, and exposure is the inverse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from schemas.plumbing.errors import NothingToDo
from schemas.tables.corpus import CORPUS
from schemas.tables.documents import DOCUMENTS
from training.audit.exposure import Exposure, checkpoint_before, exposures, print_exposure
from training.audit.past_run import PastRun
from training.audit.provenance import find_pages, pages_of
from training.audit.trace import batch_hash, print_trace, trace_batch
from training.checkpoints.commit import Commit
from training.config import BatchConfig, DataConfig, StageConfig, TrainingConfig
from training.order.plan import Plan
from training.order.plan_stages import make_plan
from training.reading.delta_tokens import TokenTable, open_tokens
from training.reading.loader import BatchReader

Rows = list[dict[str, Any]]
BATCHES = 50


@pytest.fixture(scope="module")
def rows(two_sources: Callable[[int, int], Rows]) -> Rows:
    return two_sources(40, 80)


@pytest.fixture(scope="module")
def small_lake(two_source_lake: Callable[..., Path], rows: Rows) -> Path:
    """12,000 tokens or so, and a corpus in which each document is a page of one of two sites; the last one is gone
    from it."""
    lake = two_source_lake(40, 80, files=3, rows_per_group=17)
    write_deltalake(
        str(lake / "corpus"),
        pa.Table.from_pylist([page(row, n) for n, row in enumerate(rows[:-1])], schema=CORPUS.arrow()),
        partition_by=["language"],
    )
    return lake


def page(row: dict[str, Any], number: int) -> dict[str, Any]:
    domain = f"site-{number % 2}.example"
    return {
        **dict.fromkeys(CORPUS.column_names),
        "doc_id": row["doc_id"],
        "crawl": "2026-01",
        "source": row["source"],
        "url": f"https://{domain}/{number}",
        "domain": domain,
        "language": "en",
        "weight": 1.0,
        "text": "",
        "text_hash": "0" * 64,
        "warc_path": "a.warc.gz",
        "warc_offset": number,
    }


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    """One epoch laid end to end, then packed and with other weights into the next ones."""
    data = DataConfig(sequence_length=64, shuffle_block=512, window_sequences=6, tokens_version=2)
    later = (
        StageConfig(from_step=20, packing="best_fit"),
        StageConfig(from_step=35, weights={"web": 1.0}, sequence_length=32),
    )
    return TrainingConfig(data=data, batch=BatchConfig(tokens=512, micro_sequences=1), stages=later, steps=BATCHES)


@pytest.fixture(scope="module")
def table(small_lake: Path) -> TokenTable:
    return open_tokens(str(small_lake), None)


@pytest.fixture(scope="module")
def plan(config: TrainingConfig, table: TokenTable) -> Plan:
    return make_plan(config, table)


def past_run(config: TrainingConfig, plan: Plan, table: TokenTable, out: Path, **state: Any) -> PastRun:
    commit = Commit(
        30, "tensor 1 x pipeline 1 x data 2", "", 320, 0, {}, plan.hash(), config.model_dump(mode="json"), state
    )
    return PastRun(out, commit, config, plan, table)


def test_every_traced_stretch_holds_the_tokens_that_were_read(plan: Plan, table: TokenTable, rows: Rows) -> None:
    stored = {row["doc_id"]: np.frombuffer(row["tokens"], "<u2") for row in rows}
    reader = BatchReader(plan, table, rank=0, ranks=1)
    for index in range(BATCHES):
        read = reader.read(index).tokens.reshape(-1, plan.stage_of(index).sequence_length)
        found = np.full(read.shape, -1)
        for span in trace_batch(plan, table, index):
            found[span.row, span.start : span.end] = stored[span.doc_id][
                span.first_token : span.first_token + span.end - span.start
            ]
        assert np.array_equal(found, read)


def test_exposure_is_the_inverse_of_trace(plan: Plan, table: TokenTable, rows: Rows) -> None:
    expected: dict[str, dict[tuple[int, int], int]] = {}
    for index in range(BATCHES):
        for span in trace_batch(plan, table, index):
            seen = expected.setdefault(span.doc_id, {})
            seen[index + 1, span.row] = seen.get((index + 1, span.row), 0) + span.end - span.start
    for row in rows:
        found: dict[tuple[int, int], int] = {}
        for exposure in exposures(plan, table, {row["doc_id"]}, done=BATCHES, steps=BATCHES, skips=()):
            found[exposure.step, exposure.row] = found.get((exposure.step, exposure.row), 0) + exposure.tokens
        assert found == expected.get(row["doc_id"], {})


def test_a_rank_is_its_slice_of_the_trace(plan: Plan, table: TokenTable) -> None:
    whole = trace_batch(plan, table, 22)
    assert [span for rank in range(4) for span in trace_batch(plan, table, 22, rank, 4)] == whole


def test_skipped_batches_expose_nothing_and_move_later_steps(plan: Plan, table: TokenTable, rows: Rows) -> None:
    doc_ids = {row["doc_id"] for row in rows}
    skipped = exposures(plan, table, doc_ids, done=0, steps=40, skips=((10, 15),))
    plain = exposures(plan, table, doc_ids, done=0, steps=45, skips=())
    assert {exposure.step for exposure in skipped} == set(range(1, 41))
    moved = [
        exposure.step if exposure.step <= 10 else exposure.step - 5
        for exposure in plain
        if not 10 < exposure.step <= 15
    ]
    assert [exposure.step for exposure in skipped] == moved


def test_the_checkpoint_before_is_the_newest_that_has_not_seen_it() -> None:
    seen = [Exposure("a", step, 0, 5, 0, step <= 30) for step in (12, 25, 44)]
    assert checkpoint_before(seen, [5, 10, 11, 12, 20]) == 11
    assert checkpoint_before(seen, [12, 20]) is None
    assert checkpoint_before(seen[2:], [12, 20]) is None


def test_pages_are_found_by_id_url_and_domain(small_lake: Path, rows: Rows) -> None:
    assert [found.doc_id for found in find_pages(str(small_lake), "https://site-1.example/7")] == [rows[7]["doc_id"]]
    assert [found.url for found in find_pages(str(small_lake), rows[8]["doc_id"])] == ["https://site-0.example/8"]
    assert {found.doc_id for found in find_pages(str(small_lake), "site-0.example")} == {
        row["doc_id"] for row in rows[:-1:2]
    }
    assert set(pages_of(str(small_lake), [rows[3]["doc_id"], rows[-1]["doc_id"]])) == {rows[3]["doc_id"]}
    with pytest.raises(NothingToDo, match="no document of the lake has this id, URL or domain"):
        find_pages(str(small_lake), "nobody.example")


def test_a_page_that_has_left_the_corpus_is_still_a_document(small_lake: Path, rows: Rows, tmp_path: Path) -> None:
    shutil.copytree(small_lake / "corpus", tmp_path / "corpus")
    filled = {
        column.name: None if column.nullable else {"string": "", "boolean": False, "double": 0.0}.get(column.type, 0)
        for column in DOCUMENTS.columns
    }
    record = {**filled, "doc_id": rows[-1]["doc_id"], "url": "https://gone.example/", "domain": "gone.example"}
    write_deltalake(str(tmp_path / "documents"), pa.Table.from_pylist([record], schema=DOCUMENTS.arrow()))
    assert [found.doc_id for found in find_pages(str(tmp_path), "gone.example")] == [rows[-1]["doc_id"]]
    assert {page.url for page in pages_of(str(tmp_path), [rows[3]["doc_id"], rows[-1]["doc_id"]]).values()} == {
        "https://site-1.example/3",
        "https://gone.example/",
    }


def test_the_trace_of_a_step_says_whether_the_table_still_gives_the_batch(
    small_lake: Path,
    config: TrainingConfig,
    plan: Plan,
    table: TokenTable,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = past_run(config, plan, table, tmp_path, skips=[[2, 4]])
    print_trace(run, str(small_lake), 5, None, None)
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [(line["row"], line["start"], line["end"], line["doc_id"]) for line in lines] == [
        (span.row, span.start, span.end, span.doc_id) for span in trace_batch(plan, table, 6)
    ]
    assert all(line["url"].startswith("https://site-") for line in lines)
    assert printed.err == f"batch 6 of step 5: hash {batch_hash(plan, table, 6)} is still to come\n"


def test_the_exposure_of_a_site_tells_what_is_behind_and_what_ahead(
    small_lake: Path,
    config: TrainingConfig,
    plan: Plan,
    table: TokenTable,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for step in (1, 20):
        folder = tmp_path / "checkpoints" / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "COMMITTED.json").write_text("{}")
    print_exposure(past_run(config, plan, table, tmp_path), str(small_lake), "https://site-1.example/7")
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert {line["url"] for line in lines} == {"https://site-1.example/7"}
    assert {line["seen"] for line in lines} == {line["step"] <= 30 for line in lines}
    assert "documents       1, of which 1 have been read" in printed.err
    assert f"last checkpoint before the first exposure, step {lines[0]['step']}" in printed.err
