"""`withdrawn`: stored documents that training reads no more, though their tokens are still where they were."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import DOC_ID

LEFT, EDITED, REWEIGHTED = "left", "edited", "reweighted"
REASONS = (LEFT, EDITED, REWEIGHTED)

WITHDRAWN = Table(
    name="withdrawn",
    grain="one withdrawal of a document from `tokens`; rows are only ever appended",
    asked="from which version of `tokens` on is it not read any more, and why",
    key=("doc_id", "withdrawal"),
    columns=(
        DOC_ID,
        Column(name="source", type="string", description="source of its newest stored copy"),
        Column(
            name="increment", type="int", description="all stored copies of the document up to this increment are out"
        ),
        Column(
            name="withdrawal",
            type="int",
            description="how often documents had been withdrawn before; a training run knows all below a number",
        ),
        Column(
            name="tokens_version",
            type="long",
            description="the version of `tokens` that was the newest: the last one in which it was not out",
        ),
        Column(name="n_tokens", type="long", description="stored tokens that are out with it, and were not before"),
        Column(
            name="reason",
            type="string",
            description=f"`{LEFT}`: it is not in the corpus any more (policy, suspect, opt-out, take-down); "
            f"`{EDITED}`: its text is another one; `{REWEIGHTED}`: its text is the same, but not its source or its "
            "weight",
        ),
        Column(
            name="replaced_by",
            type="int",
            nullable=True,
            description="increment that the copy which stands for it now is appended with; null where there is none",
        ),
    ),
    checks=(
        Check(name="increment_not_negative", condition="increment >= 0"),
        Check(name="withdrawal_not_negative", condition="withdrawal >= 0"),
        Check(name="n_tokens_not_negative", condition="n_tokens >= 0"),
        Check(name="reason_is_known", condition=f"reason IN ({', '.join(map(repr, REASONS))})"),
        Check(
            name="left_has_no_replacement",
            condition=f"CASE WHEN reason = '{LEFT}' THEN replaced_by IS NULL ELSE replaced_by IS NOT NULL END",
        ),
        Check(name="replacement_comes_later", condition="replaced_by IS NULL OR replaced_by > increment"),
    ),
)
