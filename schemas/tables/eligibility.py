"""`eligibility`: what a policy without its rules on duplicates makes of each document."""

from schemas.contract import Check, Column, Table
from schemas.tables import reasons
from schemas.tables.document_columns import BUCKET, CRAWL, DOC_ID, POLICY, REJECTED_BY

ELIGIBILITY = Table(
    name="eligibility",
    grain="one document under the policy, its rules on duplicates aside",
    asked="may it stand in the corpus, its duplicates aside",
    explained=False,
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        DOC_ID,
        CRAWL,
        POLICY,
        Column(
            name="outcome",
            type="string",
            description="`eligible`: it may stand in the corpus, and duplicates are decided among these only; "
            "`rejected` or `failed`",
        ),
        REJECTED_BY,
        Column(
            name="weight",
            type="double",
            description="sampling weight, the factor of its cluster aside; 0 unless eligible",
        ),
        BUCKET,
    ),
    checks=(
        Check(name="known_outcome", condition="outcome IN ('eligible', 'rejected', 'failed')"),
        Check(name="known_rules", condition=reasons.known_rules()),
        Check(name="rules_when_rejected", condition="(outcome = 'rejected') = (size(rejected_by) > 0)"),
        Check(name="weight_when_eligible", condition="(outcome = 'eligible') = (weight > 0)"),
        Check(name="known_bucket", condition=reasons.known_bucket()),
    ),
)
