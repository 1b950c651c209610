"""Records of WARC (0.17, 0.18, 1.0, 1.1) and ARC files, damaged ones included, in one pass and bounded memory.

A damaged stretch becomes a record of type `unreadable`, and reading goes on at the next header line or gzip member
that makes sense: every byte of the file belongs to a record that is reported. Formats: ISO 28500:2017 and the
Internet Archive's ARC 1.0 specification (1996).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import BinaryIO

from spark_jobs.kernels.archives.archive_stream import ArchiveStream

HEADER_LINES = 1000
UNREADABLE = "unreadable"
_WARC_LINE = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n")
# ARC, section "URL record": URL, IP address, date, media type, (in version 2 five more fields,) length.
_ARC_LINE = re.compile(
    rb"[a-zA-Z][\w+.-]*:[^\s][^\r\n]* (?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]*:[\da-fA-F:]{1,44}) [^ \r\n]+ [^ \r\n]* "
    rb"(?:[^\r\n]* )?[^ \r\n]+\r?\n"
)
_OPENING = re.compile(rb"\s*(?:" + _WARC_LINE.pattern + rb"|" + _ARC_LINE.pattern + rb")")
_EMBEDDED = re.compile(rb"\n(?=" + _WARC_LINE.pattern + rb"|" + _ARC_LINE.pattern + rb")")
_ARC_SCHEME_TYPES = {"filedesc": "warcinfo", "dns": "dns"}


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record, or (type `unreadable`) one stretch of bytes that is none."""

    offset: int
    """Byte offset of the record, or of the gzip member that it begins in."""
    type: str
    """WARC-Type in lower case; `dns` for host look-ups, whichever type they were written as."""
    record_id: str | None = None
    url: str | None = None
    date: str | None = None
    content_type: str | None = None
    block: bytes = b""
    """Content block, cut at the reader's limit."""
    block_length: int = 0
    """Bytes that the header promises, however many there were."""
    length: int | None = None
    """Bytes to the next record; None where several records share a gzip member."""
    fault: str | None = None
    """What is wrong with the record's bytes, in words; None for a sound record."""
    headers: dict[str, str] = field(default_factory=dict)


def read_records(file: BinaryIO, max_block_bytes: int) -> Iterator[ArchiveRecord]:
    """Every record of an archive, in file order; blocks longer than `max_block_bytes` are cut. Raises only what
    reading `file` raises."""
    stream = ArchiveStream(file)
    if not stream.peek(1) and stream.damage is None:
        yield ArchiveRecord(offset=0, type=UNREADABLE, fault="the file is empty")
        return
    while True:
        _skip_blank(stream)
        offset, line = stream.offset, stream.peek(1 << 13)
        if _WARC_LINE.match(line):
            record = _warc_record(stream, max_block_bytes)
        elif _ARC_LINE.match(line):
            record = _arc_record(stream, max_block_bytes)
        elif line:
            record = _unreadable_stretch(stream)
        else:
            record = None
        if record is not None:
            _skip_blank(stream)
            if stream.offset > offset:
                record = replace(record, length=stream.offset - offset)
            yield record
        if stream.damage is not None and not stream.peek(1):
            if record is None or record.fault is None:
                yield ArchiveRecord(offset=stream.damage.offset, type=UNREADABLE, fault=stream.damage.detail)
            if not stream.recover(_OPENING):
                return
        elif record is None:
            return


def parse_date(text: str | None) -> datetime | None:
    """A WARC-Date (ISO 8601) or an ARC date (14 digits) in UTC; None where it is no date."""
    if text is None:
        return None
    try:
        date = datetime.strptime(text, "%Y%m%d%H%M%S") if text.isdigit() else datetime.fromisoformat(text)
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _warc_record(stream: ArchiveStream, max_block_bytes: int) -> ArchiveRecord:
    offset = stream.offset
    stream.read_line()
    headers = _read_headers(stream)
    length = headers.get("content-length", "")
    kind = headers.get("warc-type", "").strip().lower()
    url = headers.get("warc-target-uri")
    record = ArchiveRecord(
        offset=offset,
        type="dns" if (url or "").startswith("dns:") else kind,
        record_id=headers.get("warc-record-id"),
        url=url.strip().removeprefix("<").removesuffix(">") if url else None,
        date=headers.get("warc-date"),
        content_type=headers.get("content-type"),
        headers=headers,
    )
    if not kind or not (length.isascii() and length.isdigit()):
        missing = "WARC-Type" if not kind else "valid Content-Length"
        return replace(record, type=UNREADABLE, fault=f"the record has no {missing}")
    return _read_block(stream, replace(record, block_length=int(length)), max_block_bytes, rb"WARC/")


def _read_headers(stream: ArchiveStream) -> dict[str, str]:
    """Named fields, names in lower case, the first of repeated ones; a line that begins with white space continues
    the one before."""
    headers: dict[str, str] = {}
    name = None
    for _ in range(HEADER_LINES):
        line = stream.read_line()
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text.strip() or not line:
            break
        if text[0] in " \t" and name is not None:
            headers[name] += " " + text.strip()
            continue
        name, colon, value = text.partition(":")
        name = name.strip().lower()
        if colon and name not in headers:
            headers[name] = value.strip()
    return headers


def _arc_record(stream: ArchiveStream, max_block_bytes: int) -> ArchiveRecord:
    line = stream.peek(1 << 13).partition(b"\n")[0].decode("utf-8", "replace").strip()
    fields = re.match(
        r"(.*?) (?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]*:[\da-fA-F:]{1,44}) ([^ ]+) ([^ ]*) (?:.* )?([^ ]+)$", line
    )
    url, date, mime, length = fields.groups() if fields else ("", "", "", "")
    if not (length.isascii() and length.isdigit()):
        return replace(_unreadable_stretch(stream), url=url or None)
    record = ArchiveRecord(
        offset=stream.offset,
        type=_ARC_SCHEME_TYPES.get(url.partition(":")[0].lower(), "response"),
        url=url,
        date=date,
        content_type="application/http" if url.lower().startswith(("http:", "https:")) else mime,
        block_length=int(length),
    )
    stream.read_line()
    return _read_block(stream, record, max_block_bytes, b"")


def _read_block(
    stream: ArchiveStream, record: ArchiveRecord, max_block_bytes: int, next_member: bytes
) -> ArchiveRecord:
    """Fill in the block. Where it is followed by something else than a line end, the length is wrong, and a record
    inside it ends it."""
    block = stream.read(min(record.block_length, max_block_bytes), next_member)
    cut = record.block_length - len(block) if len(block) == max_block_bytes else 0
    passed = len(block) + stream.skip(cut, next_member)
    after = stream.peek(2)
    ends_well = passed == record.block_length and (
        after[:1] in (b"\r", b"\n", b"") or _OPENING.match(stream.peek(1 << 13)) is not None
    )
    if not ends_well and cut == 0 and (embedded := _EMBEDDED.search(block)):
        stream.unread(block[embedded.end() :])
        fault = f"the header promises {record.block_length} bytes, the next record begins after {embedded.end()}"
        return replace(record, block=block[: embedded.end()], fault=fault)
    if passed < record.block_length:
        why = f": {stream.damage.detail}" if stream.damage else ""
        return replace(record, block=block, fault=f"the block ends after {passed} of {record.block_length} bytes{why}")
    return replace(record, block=block)


def _unreadable_stretch(stream: ArchiveStream) -> ArchiveRecord:
    """Pass over lines until one opens a record."""
    offset, passed, start = stream.offset, 0, b""
    while line := stream.read_line():
        start = start or line[:40]
        passed += len(line)
        if _OPENING.match(stream.peek(1 << 13)):
            break
    return ArchiveRecord(
        offset=offset,
        type=UNREADABLE,
        block_length=passed,
        fault=f"{passed} bytes that belong to no record, beginning {start!r}",
    )


def _skip_blank(stream: ArchiveStream) -> None:
    while (ahead := stream.peek(256)) and (blank := len(ahead) - len(ahead.lstrip(b"\r\n"))):
        stream.skip(blank)
