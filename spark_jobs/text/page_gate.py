"""Which records can be pages: the cheap questions that come before extraction, the cheapest first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spark_jobs.text.html import HTML_TYPES, looks_like_html
from spark_jobs.text.http_body import BodyError, HttpResponse, decode_body, media_type, parse_response
from spark_jobs.text.warc import UNREADABLE, ArchiveRecord


@dataclass(frozen=True, slots=True)
class Offer:
    """What the gate says of a record: `offered` with a body, or else `skipped` (not a page) or `failed` (damaged) for a reason."""

    status: str
    reason: str | None = None
    detail: str | None = None
    http_status: int | None = None
    mime: str | None = None
    charset: str | None = None
    body: bytes | None = None


def offer(record: ArchiveRecord, max_body_bytes: int) -> Offer:
    """Pass a record through the gate.

    Skipped: `revisit`, `http_status`, `mime`, `empty_body`, `too_large`. Failed: `unreadable`, `truncated`, `bad_http`, `bad_encoding`.
    What a damaged record could not have been anyway (an image, a redirect) is skipped for that, not failed.
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
    if response.status != 200:
        return replace(seen, reason="http_status", detail=f"status {response.status}")
    if response.mime is not None and response.mime not in HTML_TYPES:
        return replace(seen, reason="mime", detail=f"declared as {response.mime}")
    if record.fault:
        return replace(seen, status="failed", reason="truncated", detail=record.fault)
    if record.block_length > len(record.block):
        return replace(seen, reason="too_large", detail=f"the record has {record.block_length} bytes, a page may have {max_body_bytes}")
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
    return replace(seen, status="offered", detail=note, body=body)


def _as_response(record: ArchiveRecord) -> HttpResponse:
    """The HTTP response in a block; a block that is itself the resource counts as the body of one with status 200."""
    if record.type == "response" and media_type(record.content_type) in ("application/http", None):
        return parse_response(record.block)
    fields = {"content-type": record.content_type} if record.content_type else {}
    return HttpResponse(status=200, fields=fields, body=record.block)
