"""WARC/1.1 records (ISO 28500:2017), each its own gzip member. Blocks are stored as they came over the wire."""

from __future__ import annotations

import base64
import gzip
import hashlib
import uuid
from datetime import datetime
from typing import BinaryIO


def record_id(*parts: str) -> str:
    """A WARC-Record-ID that depends on `parts` only, so that a repeated crawl of one name gives the same documents
    their ids again."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, '|'.join(parts))}>"


def write_record(
    file: BinaryIO, kind: str, identity: str, date: datetime, content_type: str, block: bytes, fields: dict[str, str]
) -> None:
    """Append a record of WARC-Type `kind`; `fields` are further named fields, `date` is aware."""
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": identity,
        "WARC-Date": date.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **fields,
        "WARC-Block-Digest": _digest(block),
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    file.write(gzip.compress(f"WARC/1.1\r\n{lines}\r\n".encode() + block + b"\r\n\r\n", compresslevel=6, mtime=0))


def payload_digest(http_block: bytes) -> str:
    """Digest of what follows the HTTP header, content codings included."""
    return _digest(http_block.partition(b"\r\n\r\n")[2])


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
