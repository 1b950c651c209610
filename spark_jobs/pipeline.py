"""The stages in data-flow order, and what a run of all of them comes to."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field, create_model, model_validator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import ContractError, NothingToDo, UsageError
from schemas.tables.decisions import DECISIONS
from schemas.tables.incidents import SUSPECTS
from spark_jobs.kernels.models.fasttext_model import load_model
from spark_jobs.lake import delta
from spark_jobs.lake.session import SessionConfig
from spark_jobs.lake.stage import Lake, Run, Stage, run_stage
from spark_jobs.stages.decide import select_corpus
from spark_jobs.stages.decide.decide import sources
from spark_jobs.stages.decide.policy import require_languages, require_models
from spark_jobs.stages.deduplicate import (
    cluster_duplicates,
    deduplicate_exact,
    deduplicate_near,
    deduplicate_urls,
    index_bands,
    minhash_signatures,
)
from spark_jobs.stages.deliver import assemble_corpus, tokenize_corpus, train_tokenizer, withdraw_documents
from spark_jobs.stages.edit import deduplicate_substrings, edit_lines, redact_pii
from spark_jobs.stages.measure import decontaminate, score_lines, score_signals
from spark_jobs.stages.read import extract_text, read_warc, screen_safety

STAGES: tuple[Stage, ...] = (
    extract_text.STAGE,
    screen_safety.STAGE,
    score_signals.STAGE,
    score_lines.STAGE,
    deduplicate_urls.STAGE,
    deduplicate_exact.STAGE,
    minhash_signatures.STAGE,
    index_bands.STAGE,
    deduplicate_near.STAGE,
    cluster_duplicates.STAGE,
    decontaminate.STAGE,
    select_corpus.STAGE,
    edit_lines.STAGE,
    redact_pii.STAGE,
    deduplicate_substrings.STAGE,
    assemble_corpus.STAGE,
    withdraw_documents.STAGE,
    train_tokenizer.STAGE,
    tokenize_corpus.STAGE,
)


FROM_TRAINING = (SUSPECTS,)
"""Tables that no stage writes but training runs do; a lake that has none of a table has an empty one."""


class PipelineKeys(configuration.Config):
    """The keys of a pipeline file that belong to no stage."""

    crawl: str = Field(default="crawl", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the crawl; rows of the same name are replaced, those of other crawls stay. Crawls are ordered by name."""
    session: SessionConfig = SessionConfig()
    """How to start Spark."""


def require_fitting_stages(config: PipelineKeys) -> PipelineKeys:
    """Raises `UsageError` where one stage's settings ask for what another's do not give."""
    index_bands.require_hashes(config.index_bands, config.minhash_signatures.hashes)
    if config.select_corpus.policy.duplicates.url and not config.deduplicate_urls.enabled:
        raise UsageError(
            "select_corpus.policy: duplicates.url looks for captures of equal pages, so deduplicate_urls.enabled must "
            "be true"
        )
    return config


# A group of keys for each stage, so that a stage and its settings are declared once.
PipelineConfig = create_model(
    "PipelineConfig",
    __base__=PipelineKeys,
    __validators__={"stages_fit_together": model_validator(mode="after")(require_fitting_stages)},
    __doc__="A pipeline file: a name for the crawl, and a group of keys for each stage.",
    **{
        stage.name: (stage.config, Field(default_factory=stage.config, description=stage.config.__doc__))
        for stage in STAGES
    },
)


@dataclass(frozen=True)
class Summary:
    """What became of the records of one crawl. records = kept + rejected + failed, always."""

    lake: str
    records: int
    kept: int
    rejected: int
    failed: int
    rejects_by_rule: tuple[tuple[str, int], ...]
    exact_duplicates: int
    near_duplicates: int
    tokens: int

    def lines(self) -> list[str]:
        rules = [f"  {rule:<44} {count:>9,}" for rule, count in self.rejects_by_rule]
        return [
            f"records in {self.records:,} = kept {self.kept:,} + rejected {self.rejected:,} + failed {self.failed:,}",
            f"rejects by rule (a document may fail several){'' if rules else ': none'}",
            *rules,
            f"duplicates: {self.exact_duplicates:,} exact, {self.near_duplicates:,} near",
            f"tokens: {self.tokens:,}",
            f"lake: {self.lake}",
        ]


def run_pipeline(
    spark: SparkSession, config: PipelineKeys, *, lake: str, warc: str, until: str | None = None
) -> Summary | None:
    """Bring every stage up to date, in order; None when `until` stops before there is a summary. Raises
    `NothingToDo` when no document is kept."""
    require_policy_can_decide(config)
    inputs = open_lake(spark, config, lake=lake, warc=warc)
    enabled = enabled_stages(config)
    runs = {
        stage.name: run_stage(stage, inputs, settings_of(stage, config))
        for stage in stages_until(until)
        if stage in enabled
    }
    if until is not None and until != STAGES[-1].name:
        return None
    summary = summarize(inputs, runs)
    if summary.kept == 0:
        raise NothingToDo(nothing_kept(summary))
    return summary


def require_policy_can_decide(config: PipelineKeys) -> None:
    """Raises `UsageError` where a rule of the policy waits for what no configured model gives, or no enabled stage
    writes."""
    policy = config.select_corpus.policy
    written = {stage.writes.name for stage in enabled_stages(config)} | {table.name for table in FROM_TRAINING}
    for source in sources(policy):
        if source.table.name not in written:
            raise UsageError(
                f"policy {policy.name} looks at the table {source.table.name}, but no stage that is switched on "
                f"writes it"
            )
    unknown = set(policy.decontamination.sets if policy.decontamination else ()) - set(config.decontaminate.sets)
    if unknown:
        raise UsageError(
            f"policy {policy.name} names evaluation sets that decontaminate does not have: {', '.join(sorted(unknown))}"
        )
    require_models(policy, score_signals.configured_models(config.score_signals))
    require_languages(policy, load_model(config.extract_text.language.model_path()).labels)


def settings_of(stage: Stage, config: PipelineKeys) -> Config:
    """What a stage runs under."""
    return stage.settings(config) if stage.settings is not None else getattr(config, stage.name)


def enabled_stages(config: PipelineKeys) -> tuple[Stage, ...]:
    return tuple(stage for stage in STAGES if stage.enabled(settings_of(stage, config)))


def open_lake(spark: SparkSession, config: PipelineKeys, *, lake: str, warc: str) -> Lake:
    """The lake with the listing of WARC files; a table that no enabled stage writes is read as an empty one,
    whatever an earlier run left there.

    What training runs have written there is read.
    """
    written = {stage.writes.name for stage in enabled_stages(config)} | {
        table.name for table in FROM_TRAINING if delta.table_exists(spark, lake, table)
    }
    unwritten = {table.name: table for stage in STAGES for table in stage.reads if table.name not in written}
    empty = {name: spark.createDataFrame([], table.spark()) for name, table in unwritten.items()}
    return Lake(spark, lake, config.crawl, empty | {"warc_files": read_warc.warc_files(spark, warc, config.crawl)})


def stages_until(name: str | None) -> tuple[Stage, ...]:
    names = [stage.name for stage in STAGES]
    if name is not None and name not in names:
        raise UsageError(f"--until {name}: no such stage; the stages are {', '.join(names)}")
    return STAGES if name is None else STAGES[: names.index(name) + 1]


def summarize(lake: Lake, runs: dict[str, Run]) -> Summary:
    """Counts from the ledger, rules from `decisions`. Raises `ContractError` where the records are not conserved."""
    outcome = runs["select_corpus"].counts
    records = runs["extract_text"].counts["rows"]
    if records != outcome["kept"] + outcome["rejected"] + outcome["failed"]:
        raise ContractError(f"{records} records went in, but {outcome} came out of select_corpus")
    return Summary(
        lake=lake.path,
        records=records,
        kept=outcome["kept"],
        rejected=outcome["rejected"],
        failed=outcome["failed"],
        rejects_by_rule=rejects_by_rule(lake.read(DECISIONS, "crawl")),
        exact_duplicates=runs["deduplicate_exact"].counts["rows"],
        near_duplicates=runs["deduplicate_near"].counts["rows"],
        tokens=runs["tokenize_corpus"].counts["tokens"],
    )


def rejects_by_rule(decisions: DataFrame) -> tuple[tuple[str, int], ...]:
    """How many documents each rule rejects, the most frequent first."""
    rules = (
        decisions.select(F.explode("rejected_by").alias("rule"))
        .groupBy("rule")
        .count()
        .orderBy(F.col("count").desc(), "rule")
    )
    return tuple((row["rule"], row["count"]) for row in rules.collect())


def nothing_kept(summary: Summary) -> str:
    if summary.records == 0:
        return "the WARC files hold no record that could have text: no response, revisit or resource"
    often = ", ".join(f"{rule} ({count:,})" for rule, count in summary.rejects_by_rule[:3])
    return (
        f"no document is kept: of {summary.records:,} records {summary.rejected:,} were rejected and "
        f"{summary.failed:,} failed"
        f"{'; most often by ' + often if often else ''}; the lake at {summary.lake} says why for each"
    )


def plan_lines(spark: SparkSession, config: PipelineKeys, *, lake: str, warc: str) -> list[str]:
    """For a dry run: each stage with the table that it would write, and whether that table is there already."""
    require_policy_can_decide(config)
    files = read_warc.warc_files(spark, warc, config.crawl).count()
    lines = [f"WARC files: {files}"]
    for stage in STAGES:
        if not stage.enabled(settings_of(stage, config)):
            lines.append(f"{stage.name:<20} is off")
            continue
        there = delta.table_exists(spark, lake, stage.writes)
        lines.append(
            f"{stage.name:<20} {'replaces' if there else 'creates'} "
            f"{stage.writes.name}{f' of crawl {config.crawl}' if stage.scope == 'crawl' else ''}"
        )
    return lines
