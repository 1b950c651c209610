"""`eligibility`: what a policy without its rules on duplicates makes of each document."""

from schemas.contract import Check, Column, Table
from schemas.tables import reasons

ELIGIBILITY = Table(
    name="eligibility",
    grain="one document under the policy, its rules on duplicates aside",
    asked="may it stand in the corpus, its duplicates aside",
    explained=False,
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        Column(name="doc_id", type="string", description="the document"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="policy", type="string", description="name of the policy"),
        Column(
            name="outcome",
            type="string",
            description="`eligible`: it may stand in the corpus, and duplicates are decided among these only; "
            "`rejected` or `failed`",
        ),
        Column(
            name="rejected_by",
            type="array<string>",
            description="every rule that rejects the document, in the policy's order; empty unless rejected",
        ),
        Column(
            name="weight",
            type="double",
            description="sampling weight, the factor of its cluster aside; 0 unless eligible",
        ),
        Column(
            name="bucket",
            type="string",
            nullable=True,
            description="`head`, `middle` or `tail` by the policy's limits; null where it has none for it",
        ),
    ),
    checks=(
        Check(name="known_outcome", condition="outcome IN ('eligible', 'rejected', 'failed')"),
        Check(name="known_rules", condition=reasons.known_rules()),
        Check(name="rules_when_rejected", condition="(outcome = 'rejected') = (size(rejected_by) > 0)"),
        Check(name="weight_when_eligible", condition="(outcome = 'eligible') = (weight > 0)"),
        Check(name="known_bucket", condition=reasons.known_bucket()),
    ),
)
