"""`corpus explain`: one document's whole life."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.plumbing import exit_codes
from spark_jobs.commands.options import LakePath


def explain(
    document: Annotated[str, typer.Argument(help="A doc_id or a URL.")],
    lake: LakePath = "lake",
) -> int:
    """Print one document's whole life: where it was read, what it scored, and what was decided."""
    from spark_jobs.ask.explain import explain_document
    from spark_jobs.lake.session import SessionConfig, start_session

    print(explain_document(start_session(SessionConfig()), lake, document))
    return exit_codes.DONE
