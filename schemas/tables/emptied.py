"""`emptied`: kept documents that are in no corpus, because their edits leave nothing of them."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID

LEFT_EMPTY = "edit.left_empty"
"""The rule, as reports name it, that stands against such a document."""

EMPTIED = Table(
    name="emptied",
    grain="one kept document that its edits leave without text",
    asked="which rules of editing left nothing of it",
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        DOC_ID,
        CRAWL,
        Column(
            name="rules",
            type="array<string>",
            description="the rules that found its spans, in alphabetical order: the kind of the spans and the rule "
            "within it, such as `line.c4.javascript`",
        ),
    ),
    checks=(Check(name="rules_did_it", condition="size(rules) > 0"),),
)
