"""`signatures` and `band_index`: what near-duplicate detection compares, without any text."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID

SIGNATURES = Table(
    name="signatures",
    grain="one extracted document that is long enough to have a shingle",
    asked="what is compared of its text, and with which texts",
    explained=False,
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        DOC_ID,
        CRAWL,
        Column(
            name="shingles",
            type="array<int>",
            description="distinct 32-bit hashes of its word n-grams, ascending as signed numbers: the set whose "
            "Jaccard similarity is verified",
        ),
        Column(
            name="signature", type="binary", description="MinHash values, little-endian uint32, one per hash function"
        ),
    ),
    checks=(
        Check(name="has_shingles", condition="size(shingles) > 0"),
        Check(name="has_whole_hashes", condition="length(signature) > 0 AND length(signature) % 4 = 0"),
    ),
)

BAND_INDEX = Table(
    name="band_index",
    grain="one document and band",
    asked="what is compared of its text, and with which texts",
    explained=False,
    key=("doc_id", "band"),
    partition_by=("crawl",),
    columns=(
        Column(name="band", type="int", description="number of the band, from 0"),
        Column(
            name="band_key",
            type="long",
            description="64-bit hash of the band's MinHash values; documents with equal (band, band_key) share a "
            "bucket",
        ),
        DOC_ID,
        CRAWL,
    ),
    checks=(Check(name="band_not_negative", condition="band >= 0"),),
)
