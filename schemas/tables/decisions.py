"""`decisions`: what a policy makes of each document, and why."""

from schemas.contract import Check, Column, Table
from schemas.tables import reasons

DECISIONS = Table(
    name="decisions",
    grain="one document under the policy",
    asked="is it kept, with which weight, and if not, *all* the rules that reject it",
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        Column(name="doc_id", type="string", description="the document"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="policy", type="string", description="name of the policy"),
        Column(name="outcome", type="string", description="`kept`, `rejected` or `failed`"),
        Column(
            name="rejected_by",
            type="array<string>",
            description="every rule that rejects the document, in the policy's order; empty unless rejected",
        ),
        Column(name="weight", type="double", description="sampling weight of a kept document; 0 otherwise"),
        Column(
            name="bucket",
            type="string",
            nullable=True,
            description="`head`, `middle` or `tail` by the policy's limits; null where it has none for it",
        ),
    ),
    checks=(
        Check(name="known_outcome", condition=reasons.known_outcome()),
        Check(name="known_rules", condition=reasons.known_rules()),
        Check(name="rules_when_rejected", condition="(outcome = 'rejected') = (size(rejected_by) > 0)"),
        Check(name="weight_when_kept", condition="(outcome = 'kept') = (weight > 0)"),
        Check(name="known_bucket", condition=reasons.known_bucket()),
    ),
)
