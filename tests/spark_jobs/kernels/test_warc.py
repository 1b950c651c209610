import gzip
import io
from datetime import UTC, datetime

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from spark_jobs.kernels.archives.warc import parse_date, read_records

LIMIT = 1 << 20


def record(
    number: int, block: bytes = b"hello", kind: str = "response", version: str = "1.1", length: int | None = None
) -> bytes:
    head = f"WARC/{version}\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{number}>\r\nWARC-Target-URI: <http://a.example/{number}>\r\n"
    return f"{head}Content-Length: {len(block) if length is None else length}\r\n\r\n".encode() + block + b"\r\n\r\n"


def read(data: bytes, limit: int = LIMIT):
    return list(read_records(io.BytesIO(data), limit))


def brief(data: bytes, limit: int = LIMIT):
    return [(r.type, r.record_id, r.block, r.fault is None) for r in read(data, limit)]


@pytest.mark.parametrize("version", ["0.17", "0.18", "1.0", "1.1"])
@pytest.mark.parametrize("packed", [False, True])
def test_each_version_is_read_plain_and_compressed(version, packed):
    parts = [record(n, f"block {n}".encode(), version=version) for n in range(3)]
    data = b"".join(gzip.compress(part) if packed else part for part in parts)
    found = read(data)
    assert [(r.record_id, r.url, r.block, r.fault) for r in found] == [
        (f"<urn:{n}>", f"http://a.example/{n}", f"block {n}".encode(), None) for n in range(3)
    ]
    sizes = [len(gzip.compress(part)) if packed else len(part) for part in parts]
    assert [(r.offset, r.length) for r in found] == [(sum(sizes[:n]), sizes[n]) for n in range(3)]


def test_header_names_have_any_case_and_lines_continue():
    data = (
        b"WARC/1.0\r\nwarc-type: Response\r\nWARC-TARGET-URI: http://a.example/\r\n  with space\r\n"
        b"content-length: 2\r\n\r\nok\r\n\r\n"
    )
    [found] = read(data)
    assert (found.type, found.url, found.block) == ("response", "http://a.example/ with space", b"ok")


def test_an_archive_compressed_as_one_member_is_read():
    data = gzip.compress(record(1) + record(2))
    assert brief(data) == [("response", "<urn:1>", b"hello", True), ("response", "<urn:2>", b"hello", True)]


def test_a_record_spread_over_members_is_read():
    whole = record(1, b"abcdef" * 100) + record(2)
    data = gzip.compress(whole[:200]) + gzip.compress(whole[200:])
    assert brief(data) == [("response", "<urn:1>", b"abcdef" * 100, True), ("response", "<urn:2>", b"hello", True)]


def test_damage_inside_a_member_costs_that_member_only():
    members = [gzip.compress(record(n, bytes(range(256)) * 20)) for n in range(3)]
    damaged = bytearray(members[1])
    damaged[len(damaged) // 2] ^= 0xFF
    found = read(members[0] + bytes(damaged) + members[2])
    assert [(r.record_id, r.fault is None) for r in found if r.type == "response" and r.fault is None] == [
        ("<urn:0>", True),
        ("<urn:2>", True),
    ]
    assert [r.offset for r in found if r.fault] == [len(members[0])]


def test_bytes_between_records_become_one_unreadable_row():
    assert brief(record(1) + b"junk\nmore junk\n" + record(2)) == [
        ("response", "<urn:1>", b"hello", True),
        ("unreadable", None, b"", False),
        ("response", "<urn:2>", b"hello", True),
    ]


def test_a_length_that_is_too_long_does_not_swallow_the_next_record():
    assert brief(record(1, length=90) + record(2)) == [
        ("response", "<urn:1>", b"hello\r\n\r\n", False),
        ("response", "<urn:2>", b"hello", True),
    ]


def test_a_length_that_is_no_number_leaves_an_unreadable_row_and_the_next_record():
    broken = record(1).replace(b"Content-Length: 5", b"Content-Length: five")
    assert [kind for kind, *_ in brief(broken + record(2))] == ["unreadable", "unreadable", "response"]


def test_a_block_beyond_the_limit_is_cut_and_the_next_record_is_found():
    found = read(record(1, b"a" * 5000) + record(2), limit=1000)
    assert [(len(r.block), r.block_length, r.fault) for r in found] == [(1000, 5000, None), (5, 5, None)]


@pytest.mark.parametrize(
    "data", [b"", b"plain text\n", b"\x1f\x8b", gzip.compress(b"text", mtime=0), b"\x00" * 100_000]
)
def test_a_file_that_is_no_archive_is_one_unreadable_row(data):
    assert [kind for kind, *_ in brief(data)] == ["unreadable"]


def test_arc_versions_one_and_two_are_read():
    v1 = (
        b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 8\n1 1 Us\n\n\n"
        b"http://a.example/a b 1.2.3.4 20080430204826 text/html 2\nok\n"
    )
    v2 = v1.replace(b"text/html 2\n", b"text/html 200 sum - 99 a.arc 2\n")
    for data in (v1, v2, gzip.compress(v2)):
        assert [(r.type, r.url, r.date, r.block) for r in read(data)][1:] == [
            ("response", "http://a.example/a b", "20080430204826", b"ok")
        ]


THREE = [record(1, b"x" * 40), record(2, b"\r\n\r\nWARC/x"), record(3, b"")]


@settings(max_examples=200, deadline=None)
@given(packed=st.booleans(), data=st.data())
def test_an_archive_cut_anywhere_keeps_the_records_before_the_cut(packed, data):
    parts = [gzip.compress(part, mtime=0) if packed else part for part in THREE]
    cut = data.draw(st.integers(min_value=1, max_value=sum(map(len, parts)) - 1))
    found = read(b"".join(parts)[:cut])
    # The two line ends after a block are not needed to read it.
    whole = sum(1 for n in range(3) if sum(map(len, parts[: n + 1])) <= cut)
    assert [r.record_id for r in found if r.fault is None][:whole] == [f"<urn:{n + 1}>" for n in range(whole)]
    assert packed is False or cut in (0, *(sum(map(len, parts[:n])) for n in range(4))) or found[-1].fault is not None


@settings(max_examples=200, deadline=None)
@given(packed=st.booleans(), at=st.integers(min_value=0), value=st.integers(min_value=0, max_value=255))
def test_any_changed_byte_leaves_rows_and_no_error(packed, at, value):
    data = bytearray(b"".join(gzip.compress(part, mtime=0) if packed else part for part in THREE))
    data[at % len(data)] = value
    assert read(bytes(data))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-03-06T04:02:06Z", datetime(2017, 3, 6, 4, 2, 6, tzinfo=UTC)),
        ("2017-03-06T04:02:06.123456Z", datetime(2017, 3, 6, 4, 2, 6, 123456, tzinfo=UTC)),
        ("20080430204825", datetime(2008, 4, 30, 20, 48, 25, tzinfo=UTC)),
        ("2008-10-294T01:02:03Z", None),
        ("201404010000000000", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_and_invalid_ones_are_null(text, expected):
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    "name",
    [
        "common-crawl-2020-34.warc.gz",
        "heritrix-2008.warc.gz",
        "wget-0.warc.gz",
        "revisits.warc",
        "web-pages-03.warc.gz",
    ],
)
def test_real_archives_are_read_as_fastwarc_reads_them(shared_data, name):
    with (shared_data / "warc" / name).open("rb") as file:
        ours = [(r.record_id, r.block_length, len(r.block)) for r in read_records(file, 1 << 26)]
    with (shared_data / "warc" / name).open("rb") as file:
        theirs = [(r.record_id, r.content_length) for r in FastIterator(file, parse_http=False)]
    assert [size for _, size, read_size in ours if size == read_size] == [size for _, size in theirs]


def test_a_real_arc_is_read_as_warcio_reads_it(shared_data):
    path = shared_data / "warc" / "heritrix-2008.arc.gz"
    with path.open("rb") as file:
        ours = [(r.url, r.block) for r in read_records(file, 1 << 26)][1:]
    with path.open("rb") as file:
        theirs = [
            (r.rec_headers.get_header("uri"), r.raw_stream.read()) for r in WarcioIterator(file, no_record_parse=True)
        ][1:]
    assert ours == theirs
