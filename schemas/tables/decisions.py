"""`decisions`: what a policy makes of each document, and why."""

from schemas.contract import Check, Column, Table
from schemas.tables import reasons
from schemas.tables.document_columns import BUCKET, CRAWL, DOC_ID, POLICY, REJECTED_BY

DECISIONS = Table(
    name="decisions",
    grain="one document under the policy",
    asked="is it kept, with which weight, and if not, *all* the rules that reject it",
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        DOC_ID,
        CRAWL,
        POLICY,
        Column(name="outcome", type="string", description="`kept`, `rejected` or `failed`"),
        REJECTED_BY,
        Column(name="weight", type="double", description="sampling weight of a kept document; 0 otherwise"),
        BUCKET,
    ),
    checks=(
        Check(name="known_outcome", condition=reasons.known_outcome()),
        Check(name="known_rules", condition=reasons.known_rules()),
        Check(name="rules_when_rejected", condition="(outcome = 'rejected') = (size(rejected_by) > 0)"),
        Check(name="weight_when_kept", condition="(outcome = 'kept') = (weight > 0)"),
        Check(name="known_bucket", condition=reasons.known_bucket()),
    ),
)
