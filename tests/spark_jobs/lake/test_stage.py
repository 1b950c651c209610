"""The stage framework on real Delta tables: skip, repeat, check, conserve, and explain failures."""

from __future__ import annotations

import json

import pytest
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from schemas.contract import Check, Column, Table
from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import ContractError
from schemas.tables.runs import RUNS
from spark_jobs.lake import delta
from spark_jobs.lake.stage import Lake, Stage, StageError, run_stage

pytestmark = pytest.mark.spark

PAGES = Table(
    name="pages",
    grain="one page",
    key=("id",),
    partition_by=("crawl",),
    columns=(
        Column(name="id", type="long", description="its id"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="score", type="double", description="its score"),
    ),
    checks=(Check(name="score_is_fraction", condition="score BETWEEN 0 AND 1"),),
)
LISTING = Table(
    name="listing", grain="one id", key=("id",), columns=(Column(name="id", type="long", description="its id"),)
)


class Score(Config):
    score: float = 0.5


def add_score(listing: DataFrame, *, config: Score, crawl: str = "c1") -> DataFrame:
    return listing.select("id", F.lit(crawl).alias("crawl"), F.lit(config.score).cast("double").alias("score"))


def stage(transform=add_score, **changes) -> Stage:
    return Stage(
        **{
            "name": "score_pages",
            "reads": (LISTING,),
            "writes": PAGES,
            "config": Score,
            "transform": transform,
            "conserves": LISTING,
            **changes,
        }
    )


def lake_of(spark, path, ids: list[int], crawl: str = "c1") -> Lake:
    return Lake(spark, str(path), crawl, {"listing": spark.createDataFrame([(i,) for i in ids], LISTING.spark())})


def pages(spark, lake: Lake) -> list[Row]:
    return delta.read_table(spark, lake.path, PAGES).orderBy("crawl", "id").collect()


def test_a_stage_writes_its_table_and_then_a_row_of_the_ledger(spark, tmp_path):
    lake = lake_of(spark, tmp_path, [1, 2])
    run = run_stage(stage(counts=lambda: {"highest": F.max("id")}), lake, Score())
    assert pages(spark, lake) == [Row(id=1, crawl="c1", score=0.5), Row(id=2, crawl="c1", score=0.5)]
    assert run.counts == {"rows": 2, "highest": 2}
    (entry,) = delta.read_table(spark, lake.path, RUNS).collect()
    assert (entry.stage, entry.crawl, entry.output_table, json.loads(entry.counts)) == (
        "score_pages",
        "c1",
        "pages",
        {"rows": 2, "highest": 2},
    )
    assert json.loads(entry.config) == {"score": 0.5}


def test_a_finished_stage_is_not_run_again_until_its_inputs_or_configuration_change(spark, tmp_path):
    first = run_stage(stage(), lake_of(spark, tmp_path, [1, 2]), Score())
    again = run_stage(stage(), lake_of(spark, tmp_path, [2, 1]), Score())
    assert (again.repeated, again.output_version) == (False, first.output_version)
    assert run_stage(stage(), lake_of(spark, tmp_path, [1, 2, 3]), Score()).repeated
    assert run_stage(stage(), lake_of(spark, tmp_path, [1, 2, 3]), Score(score=0.25)).repeated
    assert pages(spark, lake_of(spark, tmp_path, []))[0] == Row(id=1, crawl="c1", score=0.25)


def test_what_a_stage_keeps_stays_until_its_settings_change_or_while_it_is_empty(spark, tmp_path):
    kept = stage(keep=lambda config: True)
    assert run_stage(kept, lake_of(spark, tmp_path, []), Score()).repeated
    first = run_stage(kept, lake_of(spark, tmp_path, [1]), Score())
    assert first.repeated
    again = run_stage(kept, lake_of(spark, tmp_path, [1, 2]), Score())
    assert (again.repeated, again.output_version) == (False, first.output_version)
    assert run_stage(kept, lake_of(spark, tmp_path, [1, 2]), Score(score=0.25)).counts == {"rows": 2}


def test_one_crawl_s_rows_are_replaced_and_the_others_stay(spark, tmp_path):
    def second(listing, *, config):
        return add_score(listing, config=config, crawl="c2")

    run_stage(stage(), lake_of(spark, tmp_path, [1]), Score())
    run_stage(stage(second), lake_of(spark, tmp_path, [8, 9], crawl="c2"), Score())
    run_stage(stage(second), lake_of(spark, tmp_path, [9], crawl="c2"), Score())
    assert [(row.crawl, row.id) for row in pages(spark, lake_of(spark, tmp_path, []))] == [("c1", 1), ("c2", 9)]


def test_an_empty_input_gives_an_empty_table(spark, tmp_path):
    lake = lake_of(spark, tmp_path, [])
    assert run_stage(stage(), lake, Score()).counts == {"rows": 0}
    assert pages(spark, lake) == []


def test_a_row_that_breaks_a_check_stops_the_stage_and_leaves_the_table_as_it_was(spark, tmp_path):
    lake = lake_of(spark, tmp_path, [1])
    run_stage(stage(), lake, Score())
    with pytest.raises(
        ContractError, match=r"^score_pages: check score_is_fraction is violated by a row with - score : 7\.0"
    ):
        run_stage(stage(), lake, Score(score=7))
    assert pages(spark, lake) == [Row(id=1, crawl="c1", score=0.5)]


def test_a_missing_column_is_named(spark, tmp_path):
    def forgetful(listing, *, config):
        return add_score(listing, config=config).drop("score")

    with pytest.raises(
        ContractError, match=r"the output for pages does not fit the contract of pages: missing \['score'\]"
    ):
        run_stage(stage(forgetful), lake_of(spark, tmp_path, [1]), Score())


def test_a_stage_that_loses_a_row_is_stopped(spark, tmp_path):
    def lossy(listing, *, config):
        return add_score(listing, config=config).where("id > 1")

    with pytest.raises(ContractError, match="score_pages: 3 rows of listing went in, but 2 rows of pages came out"):
        run_stage(stage(lossy), lake_of(spark, tmp_path, [1, 2, 3]), Score())


def test_a_fault_in_a_python_worker_is_told_in_one_line(spark, tmp_path):
    def faulty(listing, *, config):
        def divide(batches):
            for _ in batches:
                raise ValueError("no page has the id 0")
            yield from ()

        return listing.mapInArrow(divide, PAGES.spark())

    with pytest.raises(StageError, match=r"^score_pages: ValueError: no page has the id 0$"):
        run_stage(stage(faulty), lake_of(spark, tmp_path, [0]), Score())


def test_a_lake_may_be_given_by_a_relative_path(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lake = lake_of(spark, "lake", [1])
    run_stage(stage(), lake, Score())
    assert (tmp_path / "lake" / "pages" / "_delta_log").is_dir()
    assert len(pages(spark, lake)) == 1


def test_a_table_is_created_with_its_checks_in_one_commit(spark, tmp_path):
    lake = str(tmp_path)
    delta.create_table(spark, lake, PAGES)
    assert delta.current_version(spark, lake, PAGES) == 0
    properties = {row.key: row.value for row in spark.sql(f"SHOW TBLPROPERTIES delta.`{lake}/pages`").collect()}
    assert properties["delta.constraints.score_is_fraction"] == "(score BETWEEN 0 AND 1) IS NOT FALSE"
    assert properties["delta.minWriterVersion"] == "3"
