"""Which records can be pages: the cheap questions that come before extraction, the cheapest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spark_jobs.kernels.archives.http_body import BodyError, HttpResponse, decode_body, media_type, parse_response
from spark_jobs.kernels.archives.warc import UNREADABLE, ArchiveRecord
from spark_jobs.kernels.gates.safety_gate import SafetyGate, evidence_json
from spark_jobs.kernels.gates.url_gate import UrlGate
from spark_jobs.kernels.pages.html import HTML_TYPES, looks_like_html

QUARANTINED = "quarantined"
# What a WET file holds: the text that Common Crawl made of a page.
_TEXT_TYPES = frozenset({"text/plain"})


@dataclass(frozen=True, slots=True)
class Offer:
    """What the gate says of a record: `offered` with a body, or else `skipped` (not a page) or `failed` (damaged)
    for a reason."""

    status: str
    reason: str | None = None
    detail: str | None = None
    http_status: int | None = None
    mime: str | None = None
    charset: str | None = None
    body: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    """HTTP fields of an offered response."""
    evidence: str | None = None
    """For reason `quarantined`: which lists the payload matched (see `safety_gate.evidence_json`)."""


def offer(
    record: ArchiveRecord, max_body_bytes: int, *, url_gate: UrlGate | None = None, safety: SafetyGate | None = None
) -> Offer:
    """Pass a record through the gate.

    Skipped: `revisit`, `quarantined`, `http_status`, `mime`, `url.*`, `empty_body`, `too_large`. Failed:
    `unreadable`, `truncated`, `bad_http`, `bad_encoding`. What a damaged record could not have been anyway (an
    image, a redirect) is skipped for that, not failed. The safety gate's lists of hashes see every payload, whatever
    its type and status; lists of URLs are asked before a body is decoded for any other reason.
    """
    if record.type == UNREADABLE:
        return Offer("failed", "unreadable", record.fault)
    if record.type == "revisit":
        return Offer("skipped", "revisit", "the page is stored with an earlier capture")
    try:
        response = _as_response(record)
    except BodyError as error:
        return Offer("failed", "truncated" if record.fault else error.reason, record.fault or error.detail)
    status = response.status if record.type == "response" else None
    seen = Offer("skipped", http_status=status, mime=response.mime, charset=response.charset)
    if (
        safety is not None
        and safety.examines_payloads
        and (evidence := _payload_evidence(response, max_body_bytes, safety))
    ):
        return Offer("skipped", reason=QUARANTINED, evidence=evidence)
    if response.status != 200:
        return replace(seen, reason="http_status", detail=f"status {response.status}")
    if response.mime is not None and response.mime not in (_TEXT_TYPES if record.type == "conversion" else HTML_TYPES):
        return replace(seen, reason="mime", detail=f"declared as {response.mime}")
    if url_gate is not None and record.url and (refusal := url_gate.refusal(record.url)):
        return replace(seen, reason=refusal.reason, detail=refusal.detail)
    if record.fault:
        return replace(seen, status="failed", reason="truncated", detail=record.fault)
    if record.block_length > len(record.block):
        return replace(
            seen,
            reason="too_large",
            detail=f"the record has {record.block_length} bytes, a page may have {max_body_bytes}",
        )
    return _offer_body(seen, response, max_body_bytes)


def _offer_body(seen: Offer, response: HttpResponse, max_body_bytes: int) -> Offer:
    try:
        body, note = decode_body(response, max_body_bytes)
    except BodyError as error:
        status = "skipped" if error.reason == "too_large" else "failed"
        return replace(seen, status=status, reason=error.reason, detail=error.detail)
    if not body.strip():
        return replace(seen, reason="empty_body", detail=note)
    if response.mime is None and not looks_like_html(body):
        return replace(seen, reason="mime", detail="no media type is declared, and it does not look like HTML")
    return replace(seen, status="offered", detail=note, body=body, fields=response.fields)


def _payload_evidence(response: HttpResponse, max_body_bytes: int, safety: SafetyGate) -> str | None:
    try:
        payload, _ = decode_body(response, max_body_bytes)
    except BodyError:
        # Digests are of whole files; what cannot be decoded is on no list as it stands.
        payload = response.body
    matches = safety.payload_matches(payload, response.mime) if payload else ()
    return evidence_json(matches, payload) if matches else None


def _as_response(record: ArchiveRecord) -> HttpResponse:
    """The HTTP response in a block; a block that is itself the resource counts as the body of one with status 200."""
    if record.type == "response" and media_type(record.content_type) in ("application/http", None):
        return parse_response(record.block)
    fields = {"content-type": record.content_type} if record.content_type else {}
    return HttpResponse(status=200, fields=fields, body=record.block)
