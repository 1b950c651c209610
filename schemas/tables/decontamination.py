"""`decontamination`: which documents hold items of evaluation sets. It says what overlaps and how much; a policy
decides from where on it matters."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID

DECONTAMINATION = Table(
    name="decontamination",
    grain="one document and one evaluation set that share an n-gram",
    asked="which items of evaluation sets does it hold, and how much of them",
    key=("doc_id", "set_name"),
    partition_by=("crawl",),
    columns=(
        DOC_ID,
        CRAWL,
        Column(name="set_name", type="string", description="name of the evaluation set in the configuration"),
        Column(name="ngrams", type="long", description="different n-grams that both have"),
        Column(
            name="document_share",
            type="double",
            description="share of the document's different n-grams that are the set's, too; 0 where only short items "
            "are found",
        ),
        Column(name="items", type="long", description="items of the set that share an n-gram with the document"),
        Column(
            name="item_share",
            type="double",
            description="the largest share of one item's different n-grams that the document holds; 1 is a whole item",
        ),
        Column(name="item_id", type="string", description="the item that this share is of, the first of several"),
        Column(name="rule", type="string", description="the rule and its version"),
    ),
    checks=(
        Check(name="something_overlaps", condition="ngrams >= 1 AND items >= 1 AND item_share > 0"),
        Check(name="shares", condition="document_share BETWEEN 0 AND 1 AND item_share <= 1"),
    ),
)
