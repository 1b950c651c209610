"""Whole runs of the pipeline as a user starts them: conservation, restart after kill -9, and independence of the
machine."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pyspark.sql import Row

from schemas.plumbing import exit_codes
from schemas.plumbing.configuration import load_config
from schemas.tables.corpus import CORPUS
from schemas.tables.tokens import TOKENIZERS, TOKENS
from spark_jobs.lake import delta
from spark_jobs.pipeline import PipelineConfig, enabled_stages
from spark_jobs.recipes import pipeline_file
from tests.end_to_end.conftest import COMMANDS, corpus, pretrain
from training.watching.metrics import read_metrics

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1500)]

STAGES = enabled_stages(load_config(PipelineConfig, pipeline_file("demo")))
TABLES = tuple(stage.writes for stage in STAGES)
SMALL = (
    "--set",
    "train_tokenizer.vocabulary_size=600",
    "--set",
    "session.driver_memory=2g",
    "--set",
    "session.shuffle_partitions=2",
)


def rows(spark, lake: Path) -> dict[str, list[str]]:
    """Every row of every table, as sorted text."""
    return {table.name: sorted(map(repr, delta.read_table(spark, str(lake), table).collect())) for table in TABLES}


@pytest.fixture(scope="module")
def undisturbed(small_crawl, tmp_path_factory) -> tuple[Path, str]:
    """The lake of an uninterrupted run, and what the run printed."""
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    run = corpus("run", "demo", "--lake", lake, "--warc", small_crawl, *SMALL)
    assert run.returncode == exit_codes.DONE, run.stderr
    return lake, run.stdout


def test_every_record_is_kept_rejected_or_failed(undisturbed):
    lake, printed = undisturbed
    first = printed.splitlines()[0].replace(",", "").replace("=", "").replace("+", "").split()
    records, kept, rejected, failed = int(first[2]), int(first[4]), int(first[6]), int(first[8])
    assert records == kept + rejected + failed
    assert records > 90
    assert kept > 10
    assert f"lake: {lake}" in printed
    for line in ("rejects by rule", "(edit.left_empty): ", "duplicates: ", "tokens: "):
        assert line in printed


def test_a_second_run_finds_nothing_to_do_again(spark, undisturbed, small_crawl):
    lake, printed = undisturbed
    versions = {table.name: delta.current_version(spark, str(lake), table) for table in TABLES}
    again = corpus("run", "demo", "--lake", lake, "--warc", small_crawl, *SMALL)
    assert again.stdout == printed
    assert {table.name: delta.current_version(spark, str(lake), table) for table in TABLES} == versions


@pytest.mark.timeout(2000)
def test_a_driver_killed_in_a_stage_leaves_the_tables_of_an_undisturbed_run(spark, undisturbed, small_crawl, tmp_path):
    lake = tmp_path / "lake"
    moments = random.Random(7)
    # Every stage takes ten minutes; each of the framework's cases is among these: Python workers, rounds with
    # checkpoints, joins, one task.
    for stage in STAGES if "HEADWATER_KILL_IN_EVERY_STAGE" in os.environ else STAGES[::4]:
        kill_in_stage(
            stage.name, moments.uniform(0.0, 3.0), ["run", "demo", "--lake", str(lake), "--warc", small_crawl, *SMALL]
        )
    finished = corpus("run", "demo", "--lake", lake, "--warc", small_crawl, *SMALL)
    assert finished.returncode == exit_codes.DONE, finished.stderr
    assert rows(spark, lake) == rows(spark, undisturbed[0])


def kill_in_stage(stage: str, seconds: float, arguments: list[str]) -> None:
    """Start the command and kill its driver `seconds` after the stage has begun (or let it end, where the stage is
    quicker)."""
    process = subprocess.Popen(
        [COMMANDS / "corpus", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "stage starts" and event.get("stage") == stage:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.stderr.close()
    process.wait()


def test_the_tables_do_not_depend_on_cores_or_partitions(spark, undisturbed, small_crawl, tmp_path):
    lake = tmp_path / "lake"
    one_core = ("--set", "session.master=local[1]", "--set", "session.shuffle_partitions=7")
    run = corpus("run", "demo", "--lake", lake, "--warc", small_crawl, *SMALL, *one_core)
    assert run.returncode == exit_codes.DONE, run.stderr
    assert rows(spark, lake) == rows(spark, undisturbed[0])


def test_what_a_later_crawl_adds_joins_a_training_run_that_has_begun(spark, undisturbed, later_crawl, tmp_path):
    lake, out = shutil.copytree(undisturbed[0], tmp_path / "lake"), tmp_path / "training"
    train = (
        "run",
        "tiny_cpu",
        "--lake",
        lake,
        "--out",
        out,
        "--ranks",
        1,
        "--set",
        "sample.lines=0",
        "--set",
        "checkpoint.every=10",
    )
    assert pretrain(*train, "--set", "steps=5").returncode == exit_codes.DONE
    begun = read_metrics(out)
    before = stored_tokens(spark, lake)
    refreshed = corpus("run", "demo", "--lake", lake, "--warc", later_crawl, "--set", "crawl=later", *SMALL)
    assert refreshed.returncode == exit_codes.DONE, refreshed.stderr
    after = stored_tokens(spark, lake)
    added = {doc_id: row for doc_id, row in after.items() if row.increment == 1}
    assert {doc_id: after[doc_id] for doc_id in after.keys() - added.keys()} == before
    assert len(added) > 10
    assert len(delta.read_table(spark, str(lake), TOKENIZERS).collect()) == 1

    version = delta.current_version(spark, str(lake), TOKENS)
    joined = pretrain(*train, "--set", "steps=20", "--set", f"stages=[{{from_step: 5, tokens_version: {version}}}]")
    assert joined.returncode == exit_codes.DONE, joined.stderr
    steps = read_metrics(out)
    assert [line.step for line in steps] == list(range(1, 21))
    assert [line.batch_hash for line in steps[:5]] == [line.batch_hash for line in begun]
    first = min(added.values(), key=lambda row: (row.shuffle_key, row.doc_id))
    exposed = pretrain("exposure", out, first.doc_id, "--lake", lake)
    assert exposed.returncode == exit_codes.DONE, exposed.stderr
    read = [json.loads(line) for line in exposed.stdout.splitlines()]
    assert read
    assert all(line["step"] > 5 and line["seen"] for line in read)


def test_the_same_pages_as_another_crawl_add_nothing_and_the_lake_is_decided_again_without_them(
    spark, undisturbed, small_crawl, tmp_path
):
    """The other crawl's name sorts before that of the first, which keeps its documents all the same."""
    lake = shutil.copytree(undisturbed[0], tmp_path / "lake")
    before = {row.doc_id: row.text for row in delta.read_table(spark, str(lake), CORPUS).collect()}
    tokens = stored_tokens(spark, lake)
    again = corpus("run", "demo", "--lake", lake, "--warc", small_crawl, "--set", "crawl=2026-12", *SMALL)
    assert again.returncode == exit_codes.DONE, again.stderr
    after = {row.doc_id: row.text for row in delta.read_table(spark, str(lake), CORPUS).collect()}
    assert after == before
    assert len(set(after.values())) == len(after)
    assert stored_tokens(spark, lake) == tokens

    limit = sorted(len(text.split()) for text in before.values())[len(before) // 2]
    rule = f"select_corpus.policy.rules.gopher_quality.word_count.min={limit}"
    decided = corpus("decide", "--lake", lake, "--set", rule, "--set", "session.driver_memory=2g")
    assert decided.returncode == exit_codes.DONE, decided.stderr
    assert "crawls 2" in decided.stdout
    kept = {row.doc_id for row in delta.read_table(spark, str(lake), CORPUS).collect()}
    assert kept < before.keys()
    assert len(kept) > 3


def stored_tokens(spark, lake: Path) -> dict[str, Row]:
    return {row.doc_id: row for row in delta.read_table(spark, str(lake), TOKENS).collect()}


def test_a_missing_warc_is_one_line(tmp_path):
    run = corpus("run", "demo", "--lake", tmp_path / "lake", "--warc", tmp_path / "nothing-*.warc.gz")
    assert run.returncode == exit_codes.USAGE
    assert last_line(run.stderr) == f"corpus: no WARC file matches {tmp_path}/nothing-*.warc.gz"


def test_an_empty_warc_is_one_line_and_a_counted_row(spark, tmp_path):
    (tmp_path / "empty.warc.gz").touch()
    run = corpus("run", "demo", "--lake", tmp_path / "lake", "--warc", tmp_path / "empty.warc.gz", *SMALL)
    assert run.returncode == exit_codes.NOTHING_TO_DO, run.stderr
    assert last_line(run.stderr).startswith("corpus: no document is kept: of 1 records 0 were rejected and 1 failed")


def test_a_policy_that_rejects_all_pages_says_which_rules_did(undisturbed, small_crawl, tmp_path):
    shutil.copytree(undisturbed[0], tmp_path / "lake")
    strict = tmp_path / "strict.yaml"
    strict.write_text("name: strict\nrules:\n- {signal: gopher_quality.word_count, min: 1000000, max: null}\n")
    run = corpus(
        "run",
        "demo",
        "--lake",
        tmp_path / "lake",
        "--warc",
        small_crawl,
        *SMALL,
        "--set",
        f"select_corpus.policy={strict}",
    )
    assert run.returncode == exit_codes.NOTHING_TO_DO, run.stderr
    assert "no document is kept" in last_line(run.stderr)
    assert "word_count" in last_line(run.stderr)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("select_corpsu.policy=english_web", "select_corpsu: unknown key"),
        ("train_tokenizer.vocabulary_size=many", "train_tokenizer.vocabulary_size: Input should be a valid integer"),
        (
            "train_tokenizer.vocabulary_size=3",
            "train_tokenizer.vocabulary_size: Input should be greater than or equal to 300, not 3",
        ),
    ],
)
def test_a_wrong_key_or_type_is_one_line_that_names_it(tmp_path, setting, message):
    run = corpus("run", "demo", "--lake", tmp_path / "lake", "--warc", "x", "--set", setting)
    assert run.returncode == exit_codes.USAGE
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
