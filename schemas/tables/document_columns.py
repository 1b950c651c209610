"""Columns that several tables have of a document, declared once."""

from schemas.contract import Column

DOC_ID = Column(name="doc_id", type="string", description="the document")
CRAWL = Column(name="crawl", type="string", description="its crawl")

POLICY = Column(name="policy", type="string", description="name of the policy")
REJECTED_BY = Column(
    name="rejected_by",
    type="array<string>",
    description="every rule that rejects the document, in the policy's order; empty unless rejected",
)
BUCKET = Column(
    name="bucket",
    type="string",
    nullable=True,
    description="`head`, `middle` or `tail` by the policy's limits; null where it has none for it",
)
