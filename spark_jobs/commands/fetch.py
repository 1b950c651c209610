"""`corpus fetch`: pages of a host as WARC files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.plumbing import exit_codes
from schemas.plumbing.configuration import load_config
from spark_jobs.commands.options import Settings


def fetch(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the WARC files.")],
    url: Annotated[
        list[str] | None,
        typer.Argument(help="Where to start; without any, the documentation of the installed Python packages."),
    ] = None,
    name: Annotated[str, typer.Option(help="First part of the WARC files' names.")] = "pages",
    max_pages: Annotated[int | None, typer.Option(help="Stop after this many responses.")] = None,
    settings: Settings = None,
) -> int:
    """Crawl the pages of one or more hosts over HTTP into WARC/1.1 files."""
    from spark_jobs.fetch import pages as fetching

    config = load_config(
        fetching.FetchConfig, None, (*(settings or ()), *([f"max_pages={max_pages}"] if max_pages else []))
    )
    summary = (
        fetching.crawl(url, out, name=name, config=config)
        if url
        else fetching.crawl_package_docs(out, name=name, max_pages=max_pages)
    )
    print("\n".join(summary.lines()))
    return exit_codes.DONE
