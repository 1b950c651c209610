"""The stage framework on real Delta tables: skip, repeat, check, conserve, and explain failures."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from schemas.contract import Check, Column, Table
from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import ContractError
from schemas.tables.runs import RUNS
from spark_jobs.lake import delta
from spark_jobs.lake.ledger import Ledger
from spark_jobs.lake.stage import Lake, Run, Stage, StageError, run_stage

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
    with pytest.raises(ContractError) as raised:
        run_stage(stage(), lake, Score(score=7))
    assert str(raised.value) == (
        "score_pages: check score_is_fraction (score BETWEEN 0 AND 1) is broken by the row of pages with id=1"
    )
    assert pages(spark, lake) == [Row(id=1, crawl="c1", score=0.5)]


def test_a_broken_check_tells_the_key_of_the_row_and_nothing_of_its_text(spark, tmp_path):
    letters = Table(
        name="letters",
        grain="one letter",
        key=("id", "side"),
        columns=(
            Column(name="id", type="long", description="its id"),
            Column(name="side", type="string", description="which side of it"),
            Column(name="text", type="string", description="what it says"),
        ),
        checks=(Check(name="text_is_short", condition="length(text) < 10"),),
    )
    secret = "the combination of the safe is 1234"

    def write_letters(listing, *, config):
        return listing.select("id", F.lit("back\nside").alias("side"), F.lit(secret).alias("text"))

    with pytest.raises(ContractError) as raised:
        run_stage(stage(write_letters, writes=letters, scope="lake"), lake_of(spark, tmp_path, [7]), Score())
    assert str(raised.value) == (
        "score_pages: check text_is_short (length(text) < 10) is broken by the row of letters with id=7, side=back side"
    )
    assert secret not in str(raised.value.__cause__)
    with pytest.raises(Exception, match="text_is_short") as raised:
        delta.write_table(letters_of(spark, secret), str(tmp_path), letters)
    assert secret not in str(raised.value)


def letters_of(spark, text: str) -> DataFrame:
    return spark.createDataFrame([(1, "front", text)], "id long, side string, text string")


def test_a_check_judges_the_rows_that_come_out_and_no_others(spark, tmp_path):
    def scores_of_known_ids(listing, *, config):
        scores = spark.createDataFrame([(1, 0.5), (2, 7.0)], "id long, score double")
        return listing.join(scores, on="id", how="inner").select("id", F.lit("c1").alias("crawl"), "score")

    lake = lake_of(spark, tmp_path, [1])
    assert run_stage(stage(scores_of_known_ids), lake, Score()).counts == {"rows": 1}


def test_a_missing_column_is_named(spark, tmp_path):
    def forgetful(listing, *, config):
        return add_score(listing, config=config).drop("score")

    with pytest.raises(
        ContractError, match=r"the output for pages does not fit the contract of pages: missing \['score'\]"
    ):
        run_stage(stage(forgetful), lake_of(spark, tmp_path, [1]), Score())


def lossy(listing: DataFrame, *, config: Score) -> DataFrame:
    return add_score(listing, config=config).where("id > 1")


def test_a_stage_that_loses_a_row_is_stopped_before_anybody_can_read_what_it_wrote(spark, tmp_path):
    lake = lake_of(spark, tmp_path, [1, 2, 3])
    with pytest.raises(ContractError, match="score_pages: 3 rows of listing went in, but 2 rows of pages came out"):
        run_stage(stage(lossy), lake, Score())
    assert pages(spark, lake) == []
    good = run_stage(stage(), lake, Score())
    with pytest.raises(ContractError, match="score_pages: 3 rows of listing went in, but 2 rows of pages came out"):
        run_stage(stage(lossy), lake, Score(score=0.25))
    assert delta.current_version(spark, lake.path, PAGES) == good.output_version
    assert [(row.id, row.score) for row in pages(spark, lake)] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert run_stage(stage(), lake, Score()).repeated is False


def test_a_stage_may_refuse_its_own_counts_before_they_are_committed(spark, tmp_path):
    def no_more_than_read(lake: Lake, counts) -> None:
        if counts["highest"] > lake.read(LISTING, "crawl").count():
            raise ContractError(f"the highest id is {counts['highest']}")

    counting = stage(counts=lambda: {"highest": F.max("id")}, verify=no_more_than_read)
    assert run_stage(counting, lake_of(spark, tmp_path, [1, 2]), Score()).counts == {"rows": 2, "highest": 2}
    with pytest.raises(ContractError, match="the highest id is 9"):
        run_stage(counting, lake_of(spark, tmp_path, [1, 9]), Score())
    assert [row.id for row in pages(spark, lake_of(spark, tmp_path, []))] == [1, 2]


def missing_ids(stored: DataFrame, listing: DataFrame, *, config: Score) -> DataFrame:
    return add_score(listing.join(stored, on="id", how="left_anti"), config=config)


def test_what_is_appended_is_counted_with_what_is_there_before_it_is_committed(spark, tmp_path):
    growing = stage(scope="lake", grow=missing_ids, counts=lambda: {"highest": F.max("id")})
    assert run_stage(growing, lake_of(spark, tmp_path, [1, 2]), Score()).counts == {"rows": 2, "highest": 2}
    grown = run_stage(growing, lake_of(spark, tmp_path, [1, 2, 3]), Score())
    assert grown.counts == {"appended_rows": 1, "rows": 3, "highest": 3}
    with pytest.raises(ContractError, match="2 rows of listing went in, but 4 rows of pages came out"):
        run_stage(growing, lake_of(spark, tmp_path, [3, 4]), Score())
    assert delta.current_version(spark, str(tmp_path), PAGES) == grown.output_version


def test_an_append_is_refused_where_another_one_has_come_between(spark, tmp_path):
    def meanwhile(stored, listing, *, config):
        delta.write_table(add_score(listing, config=config), str(tmp_path), PAGES, append=True)
        return missing_ids(stored, listing, config=config)

    run_stage(stage(scope="lake"), lake_of(spark, tmp_path, [1]), Score())
    with pytest.raises(ContractError, match="pages: another run has written version 2, and what is to be appended"):
        run_stage(stage(scope="lake", grow=meanwhile), lake_of(spark, tmp_path, [2]), Score())
    assert [row.id for row in pages(spark, lake_of(spark, tmp_path, []))] == [1, 2]

    def at_the_last_moment(lake: Lake, counts) -> None:
        delta.write_table(add_score(lake.read(LISTING, "lake"), config=Score()), lake.path, PAGES, append=True)

    late = stage(scope="lake", grow=missing_ids, conserves=None, verify=at_the_last_moment)
    with pytest.raises(StageError, match="oncurrent"):
        run_stage(late, lake_of(spark, tmp_path, [3]), Score())
    assert [row.id for row in pages(spark, lake_of(spark, tmp_path, []))] == [1, 2, 3]


def test_the_version_in_the_ledger_is_the_stage_s_own_whoever_commits_meanwhile(spark, tmp_path):
    def another_crawl_is_committed(lake: Lake, counts) -> None:
        of_c2 = add_score(lake.read(LISTING, "crawl"), config=Score(), crawl="c2")
        delta.write_table(of_c2, lake.path, PAGES, replace_where="crawl = 'c2'")

    lake = lake_of(spark, tmp_path, [1])
    first = run_stage(stage(verify=another_crawl_is_committed), lake, Score())
    assert first.output_version == 2
    assert {row.crawl for row in pages(spark, lake)} == {"c1", "c2"}
    delta.write_table(add_score(lake.read(LISTING, "crawl"), config=Score(), crawl="c3"), lake.path, PAGES, append=True)
    assert run_stage(stage(verify=another_crawl_is_committed), lake, Score()) == Run(
        "score_pages", 2, first.counts, first.seconds, repeated=False
    )


def interrupted(*_) -> None:
    raise KeyboardInterrupt


def test_a_stage_that_was_killed_between_its_commit_and_its_entry_is_not_taken_for_its_older_self(
    spark, tmp_path, monkeypatch
):
    run_stage(stage(), lake_of(spark, tmp_path, [1]), Score())
    with monkeypatch.context() as killed:
        killed.setattr(Ledger, "enter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_stage(stage(), lake_of(spark, tmp_path, [1]), Score(score=0.25))
    assert pages(spark, lake_of(spark, tmp_path, [])) == [Row(id=1, crawl="c1", score=0.25)]
    assert run_stage(stage(), lake_of(spark, tmp_path, [1]), Score()).repeated
    assert pages(spark, lake_of(spark, tmp_path, [])) == [Row(id=1, crawl="c1", score=0.5)]
    assert run_stage(stage(), lake_of(spark, tmp_path, [1]), Score()).repeated is False


COPIES = replace(PAGES, name="copies")
TOTALS = Table(
    name="totals",
    grain="the lake",
    key=("pages",),
    columns=(Column(name="pages", type="long", description="how many pages there are"),),
)


def crawl_of_three_stages(spark, path, crawl: str, ids: list[int]) -> list[bool]:
    """Whether each of three stages, two of a crawl and one of the lake, had something to do."""

    def scores(listing, *, config):
        return add_score(listing, config=config, crawl=crawl)

    def copies(pages, *, config):
        return pages

    def totals(copies, *, config):
        return copies.agg(F.count(F.lit(1)).alias("pages"))

    lake = lake_of(spark, path, ids, crawl=crawl)
    stages = (
        stage(scores),
        stage(copies, name="copy_pages", reads=(PAGES,), writes=COPIES, conserves=PAGES),
        stage(totals, name="count_pages", reads=(COPIES,), writes=TOTALS, conserves=None, scope="lake"),
    )
    return [run_stage(one, lake, Score()).repeated for one in stages]


def test_another_crawl_and_optimize_make_no_stage_of_a_crawl_stale(spark, tmp_path):
    assert crawl_of_three_stages(spark, tmp_path, "c1", [1, 2, 3, 4]) == [True, True, True]
    assert crawl_of_three_stages(spark, tmp_path, "c2", [8, 9]) == [True, True, True]
    assert crawl_of_three_stages(spark, tmp_path, "c1", [4, 3, 2, 1]) == [False, False, False]
    version = delta.current_version(spark, str(tmp_path), PAGES)
    DeltaTable.forPath(spark, str(tmp_path / "pages")).optimize().executeCompaction()
    assert delta.current_version(spark, str(tmp_path), PAGES) > version, "nothing was compacted"
    assert crawl_of_three_stages(spark, tmp_path, "c1", [1, 2, 3, 4]) == [False, False, False]
    assert crawl_of_three_stages(spark, tmp_path, "c2", [8]) == [True, True, True]
    assert crawl_of_three_stages(spark, tmp_path, "c1", [1, 2, 3, 4]) == [False, False, False]
    assert delta.read_table(spark, str(tmp_path), TOTALS).collect() == [Row(pages=5)]


def test_a_table_that_is_older_than_a_check_is_read_only_as_far_as_its_rows_meet_it(spark, tmp_path):
    older = replace(PAGES, checks=())
    rows = [(1, "c1", 0.5), (2, "c2", 7.0)]
    delta.write_table(spark.createDataFrame(rows, PAGES.spark()), str(tmp_path), older)

    def copies(pages, *, config):
        return pages

    copying = stage(copies, reads=(PAGES,), writes=COPIES, conserves=PAGES)
    assert run_stage(copying, lake_of(spark, tmp_path, [], crawl="c1"), Score()).counts == {"rows": 1}
    with pytest.raises(ContractError) as raised:
        run_stage(copying, lake_of(spark, tmp_path, [], crawl="c2"), Score())
    assert str(raised.value) == (
        "check score_is_fraction (score BETWEEN 0 AND 1) is broken by the row of pages with id=2, which an older "
        "version wrote: write its crawl anew, or begin a new lake"
    )


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
