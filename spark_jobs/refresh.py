"""Bring a lake up to date: read and measure one crawl, then decide on all of them together.

Reading and measuring are about one crawl. Everything from the first decision on is about the lake, because a document
may repeat one of another crawl: each crawl is judged, duplicates are decided among all eligible documents, and what has
not changed for a crawl is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from pyspark.sql import SparkSession

from schemas.plumbing.configuration import config_json
from schemas.plumbing.errors import ContractError, NothingToDo, UsageError
from schemas.tables.crawls import CRAWLS
from schemas.tables.decisions import DECISIONS
from spark_jobs.lake import delta
from spark_jobs.lake.crawls import crawls_in_order, enter_crawls
from spark_jobs.lake.invariants import require_invariants
from spark_jobs.lake.stage import Lake, Run, Stage, run_stage
from spark_jobs.pipeline import (
    DECIDE,
    FROM_TRAINING,
    MEASURE,
    READ,
    STAGES,
    PipelineConfig,
    PipelineKeys,
    enabled_stages,
    require_policy_can_decide,
    settings_of,
    stages_until,
)
from spark_jobs.stages.decide import judge_eligible
from spark_jobs.stages.read import read_warc
from spark_jobs.summary import Outcome, Summary, rejects_by_rule

log = structlog.get_logger()

type Runs = dict[tuple[str, str | None], Run]
"""By stage and crawl; the crawl is None where a stage is about the lake."""


def run_pipeline(
    spark: SparkSession, config: PipelineKeys, *, lake: str, warc: str, until: str | None = None
) -> Summary | None:
    """Read and measure the crawl, then decide on the lake; None when `until` stops before there is a summary.

    Raises `NothingToDo` when the lake keeps no document.
    """
    require_policy_can_decide(config)
    enabled = enabled_stages(config)
    stages = [stage for stage in stages_until(until) if stage in enabled]
    outside = {"warc_files": read_warc.warc_files(spark, warc, config.crawl)}
    crawls = enter_crawls(spark, lake, [config.crawl])
    opened = open_lake(spark, config, lake=lake, outside=outside)
    runs: Runs = {
        (stage.name, config.crawl): run_stage(stage, opened, settings_of(stage, config))
        for stage in stages
        if stage not in DECIDE
    }
    to_decide = [stage for stage in stages if stage in DECIDE]
    if not to_decide:
        return None
    others = [crawl for crawl in crawls if crawl != config.crawl]
    measured = measure_again(opened, config, others)
    # In the order in which they entered, the new one where it belongs.
    decided = [crawl for crawl in crawls if crawl in (*measured, config.crawl)]
    runs |= decide(opened, config, to_decide, decided, decided)
    if until is not None and until != STAGES[-1].name:
        return None
    records, decisions = (runs[name, config.crawl].counts["rows"] for name in ("extract_text", "select_corpus"))
    if records != decisions:
        raise ContractError(f"{records} records went in, but decisions has {decisions}")
    return conclude(opened, runs, decided, (config.crawl,))


def decide_lake(spark: SparkSession, config: PipelineKeys, *, lake: str, only: Sequence[str] = ()) -> Summary:
    """Decide on the lake again, from what it holds: no WARC file is read. With `only`, other crawls stay judged as they
    are; what repeats what is decided for all of them in any case.

    Raises `UsageError` where the lake has no such crawl, and `NothingToDo` when it keeps no document.
    """
    require_policy_can_decide(config)
    crawls = crawls_in_order(spark, lake)
    if unknown := [crawl for crawl in only if crawl not in crawls]:
        raise UsageError(f"--crawl {', '.join(unknown)}: the lake has the crawls {', '.join(crawls) or '(none)'}")
    if not crawls:
        raise UsageError(f"--lake {lake}: no crawl is there")
    enter_crawls(spark, lake, ())
    opened = open_lake(spark, config, lake=lake, outside={})
    decided = measure_again(opened, config, crawls)
    judged = [crawl for crawl in decided if not only or crawl in only]
    unjudged = [crawl for crawl in decided if crawl not in judged and not was_judged(opened, crawl)]
    enabled = enabled_stages(config)
    stages = [stage for stage in DECIDE if stage in enabled]
    runs = decide(opened, config, stages, decided, [*judged, *unjudged])
    return conclude(opened, runs, decided, judged)


def measure_again(opened: Lake, config: PipelineKeys, crawls: Iterable[str]) -> list[str]:
    """Bring up to date what is measured of crawls that were read before, where it was never measured, under other
    settings, or before the crawl was read again; returns the crawls that can be decided. One whose reading never ended
    is left out, and said."""
    measured = []
    for crawl in crawls:
        of_crawl = opened.of_crawl(crawl)
        reads = [of_crawl.ledger.newest(stage.name, crawl) for stage in READ]
        if None in reads:
            log.warning("this crawl was never read to its end, and takes no part: run it again", crawl=crawl)
            continue
        for stage in MEASURE:
            settings = settings_of(stage, config)
            if not stage.enabled(settings):
                continue
            done = of_crawl.ledger.newest(stage.name, crawl)
            was_read = max(read.started for read in reads if read is not None)
            if done is None or done.config != config_json(settings) or done.started < was_read:
                run_stage(stage, of_crawl, settings)
        measured.append(crawl)
    return measured


def decide(
    opened: Lake, config: PipelineKeys, stages: Iterable[Stage], crawls: Sequence[str], judged: Sequence[str]
) -> Runs:
    """Run the stages in their order, those about a crawl for each one; only `judged` crawls are judged again."""
    runs: Runs = {}
    for stage in stages:
        settings = settings_of(stage, config)
        if stage.scope == "lake":
            runs[stage.name, None] = run_stage(stage, opened, settings)
            continue
        for crawl in judged if stage is judge_eligible.STAGE else crawls:
            runs[stage.name, crawl] = run_stage(stage, opened.of_crawl(crawl), settings)
    return runs


def was_judged(opened: Lake, crawl: str) -> bool:
    return opened.ledger.newest(judge_eligible.STAGE.name, crawl) is not None


def open_lake(spark: SparkSession, config: PipelineKeys, *, lake: str, outside: dict[str, Any]) -> Lake:
    """The lake with what comes from outside of it; a table that no enabled stage writes is read as an empty one,
    whatever an earlier run left there.

    What training runs have written there is read.
    """
    written = {stage.writes.name for stage in enabled_stages(config)} | {CRAWLS.name}
    written |= {table.name for table in FROM_TRAINING if delta.table_exists(spark, lake, table)}
    unwritten = {table.name: table for stage in STAGES for table in stage.reads if table.name not in written}
    empty = {name: spark.createDataFrame([], table.spark()) for name, table in unwritten.items()}
    return Lake(spark, lake, config.crawl, empty | outside)


def conclude(opened: Lake, runs: Runs, decided: Sequence[str], asked: Sequence[str]) -> Summary:
    """What came of it, once all that is true of a lake has been found to hold. Raises `NothingToDo` when the lake keeps
    no document."""
    summary = summarize(opened, runs, decided, asked)
    require_invariants(opened.spark, opened.path)
    if summary.lake_kept == 0:
        raise NothingToDo(summary.nothing_kept())
    return summary


def summarize(opened: Lake, runs: Runs, decided: Sequence[str], asked: Sequence[str]) -> Summary:
    """Counts from the ledger, rules from `decisions`; `asked` are the crawls that the command was about."""
    counts = {crawl: runs["select_corpus", crawl].counts for crawl in decided}
    outcomes = {
        crawl: Outcome(
            count["rows"],
            count["kept"],
            count["rejected"],
            count["failed"],
            left_empty=runs["record_emptied", crawl].counts["rows"],
        )
        for crawl, count in counts.items()
    }
    for crawl, outcome in outcomes.items():
        if outcome.records != outcome.kept + outcome.rejected + outcome.failed:
            raise ContractError(f"crawl {crawl}: {outcome.line()}, which is not the sum")
    return Summary(
        lake=opened.path,
        crawls={crawl: outcomes[crawl] for crawl in asked},
        rejects_by_rule=rejects_by_rule(opened.read(DECISIONS, "lake"), asked),
        lake_crawls=len(decided),
        lake_kept=sum(outcome.kept for outcome in outcomes.values()),
        tokens=runs["tokenize_corpus", None].counts["tokens"],
    )


def recorded_settings(spark: SparkSession, lake: str) -> dict[str, Any]:
    """The keys that the newest runs of the lake's stages ran under, as far as this version has them: how the lake was
    decided last."""
    opened = Lake(spark, lake, "", {})
    newest: dict[str, Any] = {}
    for entry in opened.ledger.entries():
        newest[entry.stage] = json.loads(entry.config)
    if not newest:
        raise UsageError(f"--lake {lake}: no stage has run there; name a pipeline")
    keys = {
        stage.name: {key: value for key, value in newest[stage.name].items() if key in stage.config.model_fields}
        for stage in STAGES
        if stage.config is not None and stage.name in newest
    }
    return {name: keys[name] for name in PipelineConfig.model_fields if name in keys}


def plan_lines(spark: SparkSession, config: PipelineKeys, *, lake: str, warc: str) -> list[str]:
    """For a dry run: each stage with the table that it would write, and whether that table is there already."""
    require_policy_can_decide(config)
    files = read_warc.warc_files(spark, warc, config.crawl).count()
    known = crawls_in_order(spark, lake)
    crawls = ", ".join(dict.fromkeys((*known, config.crawl)))
    lines = [f"WARC files: {files}", f"crawls, in the order of priority: {crawls}"]
    for stage in STAGES:
        if not stage.enabled(settings_of(stage, config)):
            lines.append(f"{stage.name:<20} is off")
            continue
        there = delta.table_exists(spark, lake, stage.writes)
        about = (
            f" of crawl {config.crawl}" if stage not in DECIDE else " of each crawl" if stage.scope == "crawl" else ""
        )
        lines.append(f"{stage.name:<20} {'replaces' if there else 'creates'} {stage.writes.name}{about}")
    return lines
