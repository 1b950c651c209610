"""`corpus decide`: decide on the lake again, from the lake alone."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.plumbing import exit_codes
from schemas.plumbing.configuration import config_of, load_config
from spark_jobs.commands.options import LakePath, Settings
from spark_jobs.recipes import pipeline_file


def decide(
    pipeline: Annotated[
        str | None,
        typer.Argument(help="A pipeline file, or the name of one; without it, what the lake was decided by last."),
    ] = None,
    lake: LakePath = "lake",
    crawl: Annotated[
        list[str] | None,
        typer.Option(help="Judge only this crawl by the policy; may be repeated. Others stay judged as they are."),
    ] = None,
    settings: Settings = None,
) -> int:
    """Decide again on all crawls of a lake, without any WARC file: eligible, duplicates, decisions, edits, corpus,
    tokens. `--set select_corpus.policy=...` gives another policy."""
    from spark_jobs.lake.session import SessionConfig, start_session
    from spark_jobs.pipeline import PipelineConfig
    from spark_jobs.refresh import decide_lake, recorded_settings

    if pipeline is not None:
        config = load_config(PipelineConfig, pipeline_file(pipeline), tuple(settings or ()))
        spark = start_session(config.session)
    else:
        # The ledger is a table: what it says of the stages is read by the session that then runs them.
        own = [setting for setting in settings or () if setting.startswith("session.")]
        session = config_of(
            SessionConfig, {}, tuple(setting.removeprefix("session.") for setting in own), where="session"
        )
        spark = start_session(session)
        recorded = recorded_settings(spark, lake)
        config = config_of(PipelineConfig, recorded, tuple(settings or ()), where=f"the ledger of {lake}")
    summary = decide_lake(spark, config, lake=lake, only=crawl or ())
    print("\n".join(summary.lines()))
    return exit_codes.DONE
