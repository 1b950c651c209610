import gzip
import zlib

import brotli
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.archives.http_body import BodyError, HttpResponse, decode_body, join_chunks, parse_response

PAGE = b"<html><body>" + b"The quick brown fox jumps over the lazy dog. " * 200 + b"</body></html>"


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


def response(body: bytes, **fields: str) -> HttpResponse:
    return HttpResponse(status=200, fields={name.replace("_", "-"): value for name, value in fields.items()}, body=body)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_chunks_join_to_the_data_that_was_split(pieces):
    assert join_chunks(chunked(pieces)) == (b"".join(pieces), None)


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5), st.data())
def test_clipped_chunks_give_a_prefix_of_the_data(pieces, data):
    coded = chunked(pieces)
    clipped = coded[: data.draw(st.integers(min_value=3, max_value=len(coded)))]
    joined, _ = join_chunks(clipped)
    assert b"".join(pieces).startswith(joined) or joined == clipped


@given(st.binary(max_size=400))
def test_any_bytes_pass_as_chunks_without_an_error(data):
    joined, _ = join_chunks(data)
    assert len(joined) <= len(data)


CODED = [
    ("gzip", gzip.compress(PAGE)),
    ("x-gzip", gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:])),
    ("deflate", zlib.compress(PAGE)),
    ("deflate", zlib.compress(PAGE)[2:-4]),
    ("br", brotli.compress(PAGE)),
    ("zstd", pa.compress(PAGE, "zstd", asbytes=True)),
    ("gzip, br", brotli.compress(gzip.compress(PAGE))),
    ("identity", PAGE),
]


@pytest.mark.parametrize(("coding", "body"), CODED)
def test_each_content_coding_is_undone(coding, body):
    assert decode_body(response(body, content_encoding=coding), 1 << 20) == (PAGE, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "sdch"])
def test_a_coding_that_the_body_does_not_have_is_passed_over(coding):
    assert decode_body(response(PAGE, content_encoding=coding), 1 << 20) == (PAGE, f"declared as {coding}, but is not")


def test_chunks_of_a_compressed_body_are_joined_before_it_is_inflated():
    coded = gzip.compress(PAGE)
    assert decode_body(
        response(chunked([coded[:50], coded[50:]]), transfer_encoding="chunked", content_encoding="gzip"), 1 << 20
    ) == (PAGE, None)


def test_a_body_that_is_declared_chunked_and_is_not_stays_as_it_is():
    assert decode_body(response(PAGE, transfer_encoding="chunked"), 1 << 20) == (
        PAGE,
        "declared as chunked, but is not",
    )


def test_clipped_gzip_gives_what_can_be_inflated():
    body, note = decode_body(response(gzip.compress(PAGE)[:-9], content_encoding="gzip"), 1 << 20)
    assert PAGE.startswith(body) and len(body) > 100
    assert note == "gzip data end early: incomplete data"


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip.compress(b"a" * (1 << 26))),
        ("br", brotli.compress(b"a" * (1 << 26))),
        ("", b"a" * ((1 << 20) + 1)),
    ],
)
def test_a_body_beyond_the_limit_is_too_large(coding, bomb):
    with pytest.raises(BodyError) as error:
        decode_body(response(bomb, content_encoding=coding), 1 << 20)
    assert error.value.reason == "too_large"


def test_bytes_that_are_neither_coded_nor_text_are_an_error():
    with pytest.raises(BodyError) as error:
        decode_body(response(b"\xff\xfe\x00\x01", content_encoding="br"), 1 << 20)
    assert error.value.reason == "bad_encoding"


def test_a_response_is_split_at_its_blank_line():
    found = parse_response(
        b'HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; Charset="UTF-8"\r\nX: 1\r\nx: 2\r\n\r\nbody\r\n\r\n'
    )
    assert (found.status, found.mime, found.charset, found.fields["x"], found.body) == (
        200,
        "text/html",
        "utf-8",
        "1, 2",
        b"body\r\n\r\n",
    )


def test_bare_line_feeds_and_a_missing_phrase_are_understood():
    assert parse_response(b"HTTP/2 404\nA: b\n\nbody") == HttpResponse(status=404, fields={"a": "b"}, body=b"body")


def test_a_block_without_a_status_line_is_bad_http():
    with pytest.raises(BodyError) as error:
        parse_response(b"<html>")
    assert error.value.reason == "bad_http"


def test_fields_that_name_agents_are_kept_apart():
    found = parse_response(
        b"HTTP/1.1 200 OK\r\nX-Robots-Tag: a: noindex\r\nx-robots-tag: noai\r\nVary: a\r\nVary: b\r\n\r\n"
    )
    assert (found.fields["x-robots-tag"], found.fields["vary"]) == ("a: noindex\nnoai", "a, b")


@pytest.mark.timeout(30)
def test_a_million_fields_and_ten_thousand_codings_are_bounded():
    found = parse_response(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1_000_000 + b"\r\nbody")
    assert len(found.fields["a"]) < 1 << 18 and found.body == b"body"
    with pytest.raises(BodyError, match="10000 content codings"):
        decode_body(response(b"a", content_encoding=", ".join(["gzip"] * 10_000)), 1 << 20)
