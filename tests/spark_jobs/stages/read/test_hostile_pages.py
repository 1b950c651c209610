"""Pages made to hang, crash or fill whatever reads them: each ends as a row with a reason, and the reader goes on in
bounded memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import brotli
import pytest

from spark_jobs.stages.read.extract_text import Config, transform
from spark_jobs.stages.read.read_warc import warc_files

TEXT = "Rivers carry water from the hills to the sea, and mills stand on their banks. " * 5
PAGE = f"<html><head><title>Rivers</title></head><body><article><p>{TEXT}</p></article>%s</body></html>"
WORKER_MIB = 768
"""Resident memory that the process which reads and gates may have; the extractor's own is limited by the
configuration."""

TEXT_FOUND = ("extracted", None)
TIMEOUT = ("failed", "timeout")
NO_TEXT = ("skipped", "no_text")
TOO_LARGE = ("skipped", "too_large")
NO_MEMORY = ("failed", "out_of_memory")


def response(body: bytes | str, fields: str = "", mime: str = "text/html") -> bytes:
    page = (PAGE % body).encode() if isinstance(body, str) else body
    return f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\n{fields}\r\n".encode() + page


def entity_bomb() -> bytes:
    """Each entity is ten of the one before: expanded, a terabyte."""
    entities = "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
    )
    types = f'<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa">{entities}]>'
    return f'<?xml version="1.0"?>{types}<html><body><p>&m;</p></body></html>'.encode()


# Where a page may be done or not by the time limit, both outcomes are rows.
HOSTILE = {
    "a page like any other": (lambda: response(""), {TEXT_FOUND}),
    "a cell over 2^53 columns": (
        lambda: response("<table><tr><td colspan=9007199254740991 rowspan=9007199254740991>a</td></tr></table>"),
        {TEXT_FOUND},
    ),
    "a million rows": (
        lambda: response("<table>" + "<tr><td>a" * 1_000_000 + "</table>"),
        {TEXT_FOUND, TIMEOUT, NO_MEMORY},
    ),
    "100,000 levels": (
        lambda: response("<div>" * 100_000),
        {TEXT_FOUND, TIMEOUT, NO_MEMORY, ("failed", "crashed"), ("failed", "too_complex")},
    ),
    "150,000 inline levels": (
        lambda: response("<b><i><font>" * 50_000),
        {TEXT_FOUND, TIMEOUT, NO_MEMORY, ("failed", "crashed"), ("failed", "too_complex")},
    ),
    "60 MB in one line": (lambda: response(b"a" * 60_000_000), {TOO_LARGE}),
    "15 MB in one line": (lambda: response(b"<p>" + b"a " * 7_500_000), {TEXT_FOUND, NO_TEXT, TIMEOUT, NO_MEMORY}),
    "an XML entity bomb": (lambda: response(entity_bomb(), mime="application/xhtml+xml"), {TEXT_FOUND, NO_TEXT}),
    "two million HTML entities": (lambda: response("&amp;" * 2_000_000), {TEXT_FOUND, TIMEOUT}),
    "a megabyte of zero bytes": (lambda: response(b"\0" * 1_000_000 + (PAGE % "").encode()), {TEXT_FOUND, NO_TEXT}),
    "another charset than declared": (
        lambda: response((PAGE % "\u0440\u0435\u043a\u0430").encode("cp1251"), mime="text/html; charset=utf-16"),
        {TEXT_FOUND},
    ),
    "no charset at all": (lambda: response("", mime="text/html; charset=\u00ff\u00fe"), {TEXT_FOUND}),
    "256 MB in gzip": (
        lambda: response(gzip.compress(b"\0" * (1 << 28), 1), "Content-Encoding: gzip\r\n"),
        {TOO_LARGE},
    ),
    "gzip in gzip": (
        lambda: response(gzip.compress(gzip.compress(b"a" * (1 << 28), 1)), "Content-Encoding: gzip, gzip\r\n"),
        {TOO_LARGE},
    ),
    "256 MB in brotli": (
        lambda: response(brotli.compress(b"a" * (1 << 28), quality=1), "Content-Encoding: br\r\n"),
        {TOO_LARGE},
    ),
    "10,000 codings": (
        lambda: response("", f"Content-Encoding: {'gzip, ' * 10_000}\r\n"),
        {("failed", "bad_encoding")},
    ),
    "a chunk without end": (
        lambda: response(b"fffffffffff\r\n" + (PAGE % "").encode(), "Transfer-Encoding: chunked\r\n"),
        {TEXT_FOUND},
    ),
    "broken chunks": (
        lambda: response(b"3\r\n<p>\r\nzz\r\n" + (PAGE % "").encode(), "Transfer-Encoding: chunked\r\n"),
        {NO_TEXT},
    ),
    "two million chunks": (
        lambda: response(b"1\r\na\r\n" * 2_000_000, "Transfer-Encoding: chunked\r\n"),
        {("failed", "bad_encoding")},
    ),
    "a million attributes": (
        lambda: response(f"<p {' '.join(f'a{i}=1' for i in range(1_000_000))}>b</p>"),
        {TEXT_FOUND, TIMEOUT, NO_MEMORY},
    ),
    "a million HTTP fields": (lambda: response("", "X: 1\r\n" * 1_000_000), {TEXT_FOUND}),
    "a head without end": (
        lambda: b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + b"A: b\r\n" * 2_000_000,
        {("skipped", "empty_body")},
    ),
    "half a million comments": (
        lambda: response(b"<!---->" * 500_000 + (PAGE % "").encode()),
        {TEXT_FOUND, NO_TEXT, TIMEOUT},
    ),
    "comments, undeclared": (lambda: b"HTTP/1.1 200 OK\r\n\r\n" + b"<!---->" * 100_000 + b"x", {("skipped", "mime")}),
    "the same page again": (lambda: response(""), {TEXT_FOUND}),
}
_READ = """
import json, sys
from pathlib import Path
from spark_jobs.stages.read.extract_text import Config, file_rows
for row in file_rows(sys.argv[1], "c", Config(max_seconds=3.0, max_memory_mib=1024)):
    print(json.dumps([row["record_id"], row["extract_status"], row.get("extract_reason")]))
# Not getrusage: its peak is inherited from the process that forks.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps(int(status["VmHWM"].split()[0]) // 1024))
"""


def write_warc(path: Path, names: list[str]) -> Path:
    """A WARC of the pages of these names, which are their ids."""
    with path.open("wb") as file:
        for name in names:
            block = HOSTILE[name][0]()
            head = (
                f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: {name}\r\n"
                "WARC-Target-URI: http://a.example/\r\nWARC-Date: 2020-01-02T03:04:05Z\r\n"
            )
            head += f"Content-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n"
            file.write(gzip.compress(head.encode() + block + b"\r\n\r\n", 1))
    return path


def test_every_hostile_page_ends_as_a_row_within_the_limits_and_the_next_one_is_read(tmp_path):
    path = write_warc(tmp_path / "hostile.warc.gz", list(HOSTILE))
    # A process of its own, whose memory is that of these pages alone.
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert done.returncode == 0, done.stderr
    *rows, resident_mib = map(json.loads, done.stdout.splitlines())
    assert [name for name, _, _ in rows] == list(HOSTILE)
    assert {name: (status, reason) for name, status, reason in rows if (status, reason) not in HOSTILE[name][1]} == {}
    assert resident_mib < WORKER_MIB


@pytest.mark.spark
def test_an_executor_outlives_hostile_pages(spark, tmp_path):
    names = [
        "a million attributes",
        "100,000 levels",
        "256 MB in gzip",
        "a cell over 2^53 columns",
        "the same page again",
    ]
    files = warc_files(spark, str(write_warc(tmp_path / "hostile.warc.gz", names)), "c")
    rows = transform(files, config=Config(max_seconds=2.0)).orderBy("warc_offset").collect()
    assert [row.record_id for row in rows] == names
    assert all((row.extract_status, row.extract_reason) in HOSTILE[row.record_id][1] for row in rows)
