"""`warc_files`: the input of a crawl as it was listed; not stored, but hashed into the ledger."""

from schemas.contract import Check, Column, Table

WARC_FILES = Table(
    name="warc_files",
    grain="one WARC or ARC file to read",
    key=("path",),
    columns=(
        Column(name="path", type="string", description="local path or URI"),
        Column(name="crawl", type="string", description="name of the crawl that its records belong to"),
        Column(name="bytes", type="long", description="size of the file"),
    ),
    checks=(Check(name="bytes_not_negative", condition="bytes >= 0"),),
)
