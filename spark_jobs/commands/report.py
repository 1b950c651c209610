"""`corpus report`: one HTML file about a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.plumbing import exit_codes
from spark_jobs.commands.options import LakePath


def report(
    lake: LakePath = "lake",
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    crawl: Annotated[str | None, typer.Option(help="Only this crawl; all by default.")] = None,
    training: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output folder of a training run, for its loss curve.")
    ] = None,
) -> int:
    """Write one self-contained HTML file: what came in, what was kept, and why the rest was not."""
    from spark_jobs.lake.session import SessionConfig, start_session
    from spark_jobs.report import write_report

    write_report(start_session(SessionConfig()), lake, out, crawl=crawl, training=training)
    print(f"report: {out}")
    return exit_codes.DONE
