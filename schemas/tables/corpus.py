"""`corpus`: the documents that training may see."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID

CORPUS = Table(
    name="corpus",
    grain="one kept document",
    asked="the text that training sees, and the WARC file and offset that it came from",
    key=("doc_id",),
    partition_by=("crawl", "language"),
    columns=(
        DOC_ID,
        CRAWL,
        Column(name="source", type="string", description="name under which a training plan weights it"),
        Column(name="url", type="string", nullable=True, description="its page"),
        Column(name="domain", type="string", nullable=True, description="registered domain of the page"),
        Column(name="language", type="string", nullable=True, description="its language"),
        Column(name="weight", type="double", description="sampling weight from the policy"),
        Column(
            name="bucket",
            type="string",
            nullable=True,
            description="quality bucket from the policy; null where it has none",
        ),
        Column(name="text", type="string", description="text after all edits"),
        Column(name="text_hash", type="string", description="SHA-256 of it in UTF-8, in hex"),
        Column(name="warc_path", type="string", description="WARC file that the page came from"),
        Column(name="warc_offset", type="long", description="offset of its record there"),
    ),
    checks=(
        Check(name="text_not_empty", condition="length(text) > 0"),
        Check(name="weight_positive", condition="weight > 0"),
    ),
)
