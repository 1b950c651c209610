"""`signals`: every score of every document. Its columns are generated from the declared signals, so that a new
signal is declared once."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID


def signals_table(columns: tuple[Column, ...], checks: tuple[Check, ...] = ()) -> Table:
    """The contract of `signals` for the given signal columns."""
    return Table(
        name="signals",
        grain="one extracted document",
        asked="every score: Gopher, C4, FineWeb, RefinedWeb, Dolma, Curator, perplexity, classifiers; measured "
        "once, for all policies",
        key=("doc_id",),
        partition_by=("crawl",),
        columns=(
            DOC_ID,
            CRAWL,
            *columns,
        ),
        checks=checks,
    )
