"""`corpus run`: the pipeline, stage by stage."""

from __future__ import annotations

from typing import Annotated

import typer
import yaml

from schemas.plumbing import exit_codes
from schemas.plumbing.configuration import load_config
from schemas.plumbing.errors import UsageError
from spark_jobs.commands.options import LakePath, Settings
from spark_jobs.recipes import pipeline_file


def run(
    pipeline: Annotated[
        str, typer.Argument(help="A pipeline file, or the name of one that comes with Headwater.")
    ] = "english_web",
    lake: LakePath = "lake",
    warc: Annotated[str, typer.Option("--warc", metavar="GLOB", help="WARC or ARC files, compressed or not.")] = "",
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")] = None,
    settings: Settings = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the resolved configuration and what would be written, and write nothing."
        ),
    ] = False,
) -> int:
    """Read and measure a crawl, then decide on all crawls of the lake together: eligible, duplicates, decisions, edits,
    corpus, tokens. Finished stages are not run again."""
    from spark_jobs.lake.session import start_session
    from spark_jobs.pipeline import PipelineConfig, stages_until
    from spark_jobs.refresh import plan_lines, run_pipeline

    config = load_config(PipelineConfig, pipeline_file(pipeline), tuple(settings or ()))
    stages_until(until)
    if not warc:
        raise UsageError("--warc GLOB is required: which WARC files are to be read?")
    if dry_run:
        print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
        print("\n".join(plan_lines(start_session(config.session), config, lake=lake, warc=warc)))
        return exit_codes.DONE
    summary = run_pipeline(start_session(config.session), config, lake=lake, warc=warc, until=until)
    if summary is not None:
        print("\n".join(summary.lines()))
    return exit_codes.DONE
