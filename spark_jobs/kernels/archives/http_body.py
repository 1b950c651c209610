"""HTTP responses as crawlers stored them: status, fields, and the body with its transfer and content codings undone.

Crawlers often keep headers of codings that they have already removed, so a coding that the bytes do not bear out is
passed over, not an error. Semantics: RFC 9110 section 8.4 (content codings), RFC 9112 sections 4, 5 and 7.1 (status
line, fields, chunks).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?![0-9])")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?\r?\n")
_PIECE_BYTES = 1 << 16
MAX_HEAD_BYTES = 1 << 18
"""Bytes of a head that are read for fields; servers stop at 8 to 64 KiB."""
MAX_CHUNKS = 200_000
"""Chunks of a body; servers send thousands of bytes in each, so that a body of the largest size has a tenth."""
MAX_CODINGS = 5
"""Content codings on top of each other; curl and browsers stop there too."""
# Its lines may begin with the name of an agent, for which the rest of that line alone is meant.
_KEPT_APART = "x-robots-tag"
_LOOKS_LIKE_TEXT = re.compile(rb"[\s\xef\xbb\xbf]*[<\w]")


class BodyError(Exception):
    """The body cannot be used; `reason` is what the documents table records."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response as stored: `fields` have lower-case names; repeated ones are joined by commas, X-Robots-Tag by line
    feeds; `body` is still coded."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def mime(self) -> str | None:
        return media_type(self.fields.get("content-type"))

    @property
    def charset(self) -> str | None:
        return charset_parameter(self.fields.get("content-type"))


def parse_response(block: bytes) -> HttpResponse:
    """Split a response at the blank line; `BodyError` (`bad_http`) where it has no status line."""
    status = _STATUS_LINE.match(block)
    if status is None:
        raise BodyError("bad_http", f"no HTTP status line, but {block[:40]!r}")
    end = _HEAD_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    values: dict[str, list[str]] = {}
    for line in head[:MAX_HEAD_BYTES].splitlines()[1:]:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            values.setdefault(name.strip().lower(), []).append(value.strip())
    fields = {name: ("\n" if name == _KEPT_APART else ", ").join(repeated) for name, repeated in values.items()}
    return HttpResponse(status=int(status[1]), fields=fields, body=body)


def media_type(content_type: str | None) -> str | None:
    """`kernels/html` of `Text/HTML; charset=utf-8`; None where nothing is declared."""
    kind = re.split("[;,]", content_type or "", maxsplit=1)[0].strip().lower()
    return kind or None


def charset_parameter(content_type: str | None) -> str | None:
    found = re.search(r"charset\s*=\s*[\"']?([\w.:+-]+)", content_type or "", re.IGNORECASE)
    return found[1].lower() if found else None


def decode_body(response: HttpResponse, max_bytes: int) -> tuple[bytes, str | None]:
    """The body without its codings, at most `max_bytes` of it, and what was odd about them (None: nothing).

    Raises `BodyError`: `too_large` beyond the limit, at whichever coding it is passed; `bad_encoding` where coded
    bytes yield nothing.
    """
    body, notes = response.body, []
    if "chunked" in response.fields.get("transfer-encoding", "").lower():
        body, note = join_chunks(body)
        notes.append(note)
    codings = [c.strip().lower() for c in response.fields.get("content-encoding", "").split(",")]
    codings = [c for c in codings if c not in ("", "identity", "none", "utf-8")]
    if len(codings) > MAX_CODINGS:
        raise BodyError("bad_encoding", f"{len(codings)} content codings")
    for coding in reversed(codings):
        body, note = _undo(coding, body, max_bytes)
        notes.append(note)
    if body.startswith(b"\x1f\x8b\x08"):
        body, _ = _undo("gzip", body, max_bytes)
        notes.append("gzip that was not declared")
    if len(body) > max_bytes:
        raise BodyError("too_large", f"the body has {len(body)} bytes, the limit is {max_bytes}")
    return body, "; ".join(note for note in notes if note) or None


def join_chunks(body: bytes) -> tuple[bytes, str | None]:
    """Undo chunked transfer coding.

    Returns the data and what was odd: bytes that do not begin with a chunk are returned as they are; where a later
    chunk is broken, the data before it. Raises `BodyError` (`bad_encoding`) beyond MAX_CHUNKS.
    """
    joined = bytearray()
    at = chunks = 0
    while size_line := _CHUNK_SIZE.match(body, at):
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise BodyError("bad_encoding", f"more than {MAX_CHUNKS} chunks")
        size = int(size_line[1], 16)
        if size == 0:
            return bytes(joined), None
        piece = body[size_line.end() : size_line.end() + size]
        joined += piece
        if len(piece) < size:
            return bytes(joined), f"the last chunk has {len(piece)} of {size} bytes"
        at = size_line.end() + size
        at += 2 if body.startswith(b"\r\n", at) else 1 if body.startswith(b"\n", at) else 0
    if not joined:
        return body, "declared as chunked, but is not"
    if at < len(body):
        return bytes(joined), f"chunk framing is lost after {at} bytes"
    return bytes(joined), "the closing chunk is missing"


def _undo(coding: str, body: bytes, max_bytes: int) -> tuple[bytes, str | None]:
    if not body:
        return body, None
    decoders: dict[str, tuple[Callable[[bytes], Iterator[bytes]], ...]] = {
        "gzip": (_gunzip,),
        "x-gzip": (_gunzip,),
        # RFC 9110 section 8.4.1.2 notes that some senders leave out the zlib wrapper.
        "deflate": (lambda data: _inflate(data, zlib.MAX_WBITS), lambda data: _inflate(data, -zlib.MAX_WBITS)),
        "br": (lambda data: _arrow_pieces(data, "brotli"),),
        "zstd": (lambda data: _arrow_pieces(data, "zstd"),),
    }
    for decoder in decoders.get(coding, ()):
        decoded, error = _collect(decoder(body), max_bytes)
        if decoded or error is None:
            return decoded, f"{coding} data end early: {error}" if error else None
    if _LOOKS_LIKE_TEXT.match(body):
        return body, f"declared as {coding[:20]}, but is not"
    raise BodyError("bad_encoding", f"cannot decode content coding {coding[:20]!r}")


def _collect(pieces: Iterator[bytes], max_bytes: int) -> tuple[bytes, str | None]:
    """All pieces, and the error that ended them; memory stays within one piece of the limit, whatever a bomb expands
    to."""
    collected, size = [], 0
    try:
        for piece in pieces:
            collected.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise BodyError("too_large", f"the body decodes to more than {max_bytes} bytes")
    except (zlib.error, OSError) as error:
        return b"".join(collected), str(error)[:100]
    return b"".join(collected), None


def _gunzip(data: bytes) -> Iterator[bytes]:
    """All gzip members; what follows the last of them is passed over."""
    while data.startswith(b"\x1f\x8b"):
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        yield from _drain(inflater, data)
        data = inflater.unused_data
        if not data:
            return
    if not data:
        return
    if data.strip(b"\0\r\n"):
        raise zlib.error("not a gzip member")


def _inflate(data: bytes, window_bits: int) -> Iterator[bytes]:
    yield from _drain(zlib.decompressobj(window_bits), data)


def _drain(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while not inflater.eof:
        piece = inflater.decompress(data, _PIECE_BYTES)
        data = inflater.unconsumed_tail
        if piece:
            yield piece
        elif not data and not inflater.eof:
            raise zlib.error("incomplete data")


def _arrow_pieces(data: bytes, codec: str) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
