"""`quarantine`: why the safety gate withheld a record. It says which list matched, never what: no keyword, no text,
no URL."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL

QUARANTINE = Table(
    name="quarantine",
    grain="one list of the safety gate that a withheld record matched",
    asked="what did the safety gate withhold, by id and hash only",
    key=("doc_id", "evidence", "list"),
    partition_by=("crawl",),
    columns=(
        Column(
            name="doc_id",
            type="string",
            description="the record; its file and offset are in `documents`, its content in no table",
        ),
        CRAWL,
        Column(
            name="evidence",
            type="string",
            description="`sha256` or `md5` of the payload, `pdq` of the image, or `keyword`",
        ),
        Column(name="list", type="string", description="name of the list's file"),
        Column(
            name="payload_sha256",
            type="string",
            nullable=True,
            description="SHA-256 of the payload, in hex; null where the record has none",
        ),
        Column(
            name="distance",
            type="int",
            nullable=True,
            description="for `pdq`: bits in which the image differs from the nearest hash of the list",
        ),
    ),
    checks=(
        Check(name="known_evidence", condition="evidence IN ('sha256', 'md5', 'pdq', 'keyword')"),
        Check(name="distance_of_pdq_only", condition="(evidence = 'pdq') = (distance IS NOT NULL)"),
        Check(name="distance_in_bits", condition="distance BETWEEN 0 AND 256"),
    ),
)
