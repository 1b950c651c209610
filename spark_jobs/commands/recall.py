"""`corpus recall`: which similarities near-duplicate detection finds."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.plumbing import exit_codes


def recall(
    bands: Annotated[int, typer.Option(min=1, help="Number of bands.")] = 14,
    rows: Annotated[int, typer.Option(min=1, help="MinHash values in a band.")] = 8,
) -> int:
    """Print how likely two documents of a given similarity become a candidate pair."""
    from spark_jobs.ask.recall import recall_table

    print(recall_table(bands, rows))
    return exit_codes.DONE
