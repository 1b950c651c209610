"""`line_spans`, `repeated_spans` and `pii_spans`: what is edited in a document, found by three stages, applied at
once by `assemble_corpus`.

Three tables of one shape, so that each stage owns the table that it writes and can be rerun alone. The text itself
is never changed before the corpus.
"""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID


def spans_table(name: str, found: str) -> Table:
    """The contract of a table of spans; `found` completes "One row is a span of a document's text that ..."."""
    return Table(
        name=name,
        grain=f"a span of a document's text that {found}",
        asked="which rule took a stretch of its text out, or what stands in its place",
        key=("doc_id", "start", "end", "rule"),
        partition_by=("crawl",),
        columns=(
            DOC_ID,
            CRAWL,
            Column(name="kind", type="string", description="`line`, `repeated` or `pii`"),
            Column(name="rule", type="string", description="the rule within its kind that found the span"),
            Column(
                name="start",
                type="int",
                description="first character of the span in `documents.text`, from 0; characters are Unicode code "
                "points",
            ),
            Column(name="end", type="int", description="the character after its last one"),
            Column(
                name="replacement",
                type="string",
                description="what stands in its place in the corpus; empty where the span is removed",
            ),
        ),
        checks=(Check(name="span_in_order", condition="start >= 0 AND start < end"),),
    )


LINE_SPANS = spans_table("line_spans", "a rule on single lines removes")
REPEATED_SPANS = spans_table("repeated_spans", "an earlier place of the crawl has too")
PII_SPANS = spans_table("pii_spans", "names or identifies a person")

SPANS = (LINE_SPANS, REPEATED_SPANS, PII_SPANS)
"""All edits of texts, in the order in which the corpus takes them."""
