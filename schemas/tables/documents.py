"""`documents`: what each offered WARC record became."""

from schemas.contract import Check, Column, Table
from schemas.tables import reasons

DOCUMENTS = Table(
    name="documents",
    grain=(
        "one record of a WARC that was offered for extraction: a response, a revisit, a resource, a conversion to "
        "plain text, "
        "or a stretch of a file that could not be read"
    ),
    asked="where was it read, and what became of it: extracted, skipped or failed, with the reason; its "
    "licence, and what its owner forbids",
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        Column(
            name="doc_id",
            type="string",
            description="128-bit hash, in hex, of the crawl, the WARC file's name and the WARC-Record-ID (or the "
            "offset, where no ID is usable)",
        ),
        Column(
            name="crawl",
            type="string",
            description="name of the crawl that the record belongs to; crawls are ordered by name",
        ),
        Column(name="warc_path", type="string", description="path of the WARC file as it was given"),
        Column(
            name="warc_offset",
            type="long",
            description="byte offset of the record (its gzip member, if compressed) in the file",
        ),
        Column(
            name="warc_length",
            type="long",
            nullable=True,
            description="bytes up to the next record, where the reader knows it",
        ),
        Column(
            name="record_type",
            type="string",
            description="WARC-Type of the record, or `unreadable` for damage between records",
        ),
        Column(name="record_id", type="string", nullable=True, description="WARC-Record-ID as written"),
        Column(name="url", type="string", nullable=True, description="target URI without angle brackets"),
        Column(name="host", type="string", nullable=True, description="host of the URL, lower case"),
        Column(name="domain", type="string", nullable=True, description="registered domain of the host"),
        Column(name="fetched_at", type="timestamp", nullable=True, description="WARC-Date; null where it is invalid"),
        Column(name="http_status", type="int", nullable=True, description="status code of the response"),
        Column(
            name="mime",
            type="string",
            nullable=True,
            description="media type that the server declared, lower case, without parameters",
        ),
        Column(
            name="charset",
            type="string",
            nullable=True,
            description="character encoding that the body was decoded with",
        ),
        Column(
            name="extract_status",
            type="string",
            description="`extracted`: there is text; `skipped`: no page with text; `failed`: should have had text",
        ),
        Column(
            name="extract_reason",
            type="string",
            nullable=True,
            description="why the record was skipped or failed (see the reference of reasons); null where it was "
            "extracted",
        ),
        Column(
            name="extract_detail",
            type="string",
            nullable=True,
            description="the reason in words, with the position or the exception, for people",
        ),
        Column(
            name="extractor",
            type="string",
            nullable=True,
            description="what made the text: an extractor's name, or `wet` for a conversion record",
        ),
        Column(name="title", type="string", nullable=True, description="title of the page"),
        Column(name="author", type="string", nullable=True, description="author as the page names them"),
        Column(
            name="date", type="string", nullable=True, description="day of publication as the page gives it, ISO 8601"
        ),
        Column(
            name="page_type",
            type="string",
            nullable=True,
            description="kind of page (article, forum, product, ...) as the extractor takes it to be",
        ),
        Column(name="text", type="string", nullable=True, description="main content as plain text"),
        Column(name="text_hash", type="string", nullable=True, description="SHA-256 of the text in UTF-8, in hex"),
        Column(
            name="licence",
            type="string",
            nullable=True,
            description="Creative Commons licence that the page states: `by`, `by-sa`, ..., `cc0`, `publicdomain`",
        ),
        Column(
            name="licence_version",
            type="string",
            nullable=True,
            description="its version, such as `4.0`; null where the page does not say",
        ),
        Column(
            name="licence_confidence",
            type="double",
            nullable=True,
            description="how far the statement can be taken for one about the page itself, by where it stands (see "
            "`kernels/pages/rights.py`)",
        ),
        Column(
            name="robots",
            type="array<string>",
            nullable=True,
            description="directives of X-Robots-Tag and meta robots, sorted, such as `noindex` or `noai`; those for "
            "one agent as `agent: directive`",
        ),
        Column(
            name="tdm_reservation",
            type="int",
            nullable=True,
            description="1: text and data mining is reserved (TDMRep); 0: it is not; null: not said",
        ),
        Column(
            name="tdm_policy",
            type="string",
            nullable=True,
            description="URL of the TDM policy that the page or its server names",
        ),
        Column(
            name="safety_evidence",
            type="string",
            nullable=True,
            description="JSON, for records withheld by the safety gate only: digest of the payload and the lists that "
            "matched; see `quarantine`",
        ),
        Column(
            name="language",
            type="string",
            nullable=True,
            description="most probable language, as the language model names it",
        ),
        Column(name="language_score", type="double", nullable=True, description="its probability"),
    ),
    checks=(
        Check(name="known_status", condition="extract_status IN ('extracted', 'skipped', 'failed')"),
        Check(
            name="text_when_extracted",
            condition="(extract_status = 'extracted') = (text IS NOT NULL AND text_hash IS NOT NULL)",
        ),
        Check(name="text_hash_is_sha256", condition="length(text_hash) = 64"),
        Check(name="reason_unless_extracted", condition="(extract_status = 'extracted') = (extract_reason IS NULL)"),
        Check(name="known_reason", condition=reasons.known_reason()),
        Check(
            name="evidence_when_quarantined",
            condition="(extract_reason <=> 'quarantined') = (safety_evidence IS NOT NULL)",
        ),
        Check(
            name="nothing_of_quarantined",
            condition="safety_evidence IS NULL OR coalesce(url, host, domain, record_id, title, author, text, "
            "text_hash, tdm_policy, extract_detail) IS NULL",
        ),
        Check(name="licence_confidence_is_probability", condition="licence_confidence BETWEEN 0 AND 1"),
        Check(name="tdm_reservation_is_a_flag", condition="tdm_reservation IN (0, 1)"),
        Check(name="offset_not_negative", condition="warc_offset >= 0"),
        Check(name="language_score_is_probability", condition="language_score BETWEEN 0 AND 1"),
    ),
)
