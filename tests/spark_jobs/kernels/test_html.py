import pytest

from spark_jobs.kernels.gates.urls import host_of, registered_domain
from spark_jobs.kernels.pages.html import clean_text, declared_in_page, decode_html, looks_like_html, page_title

RUSSIAN = "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! " * 20
JAPANESE = "\u65e5\u672c\u8a9e\u306e\u30da\u30fc\u30b8\u3067\u3059\u3002" * 20


@pytest.mark.parametrize(
    ("body", "declared", "charset"),
    [
        (RUSSIAN.encode("utf-8"), None, "utf-8"),
        (RUSSIAN.encode("utf-8"), "iso-8859-1", "utf-8"),
        (RUSSIAN.encode("cp1251"), "windows-1251", "cp1251"),
        (
            b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">' + RUSSIAN.encode("cp1251"),
            None,
            "cp1251",
        ),
        (b'<meta charset="windows-1251">' + RUSSIAN.encode("cp1251"), "utf-8", "cp1251"),
        (JAPANESE.encode("shift_jis"), None, "shift_jis"),
        (JAPANESE.encode("euc_jp"), "no-such-charset", "euc_jp"),
        (b"\xff\xfe" + RUSSIAN.encode("utf-16le"), "utf-8", "utf-16le"),
        (RUSSIAN.encode("cp1251"), "utf-16", "cp1251"),
        (b"plain", None, "utf-8"),
        (b"", None, "utf-8"),
    ],
)
def test_the_encoding_is_found_by_mark_header_page_and_bytes(body, declared, charset):
    text, name = decode_html(body, declared)
    assert name == charset
    assert RUSSIAN in text or JAPANESE in text or len(body) < 10


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (b"<html><head><META CHARSET=koi8-r>", "koi8-r"),
        (b"<meta content='text/html; charset=\"Shift_JIS\"' http-equiv=Content-Type>", "shift_jis"),
        (b"<!-- <meta charset=koi8-r> --><meta charset='windows-1251'/>", "windows-1251"),
        (b"<!-- <meta charset=koi8-r>", None),
        (b"<!--><meta charset=koi8-r>", "koi8-r"),
        (b"<meta name=description content='charset=koi8-r'>", None),
        (b"<meta charset=koi8-r charset=utf-8>", "koi8-r"),
        (b"<metadata charset=koi8-r>", None),
        (b'<?xml version="1.0" encoding="EUC-JP"?><html>', "euc-jp"),
        (b'<?xml version="1.0" encoding="euc-jp"?><meta charset=koi8-r>', "koi8-r"),
        (b"<meta charset=utf-16le>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b" " * 8200 + b"<meta charset=koi8-r>", None),
        (b"", None),
    ],
)
def test_a_page_s_own_declaration_is_found_as_the_standard_s_prescan_finds_it(body, label):
    assert declared_in_page(body) == label


def test_a_few_invalid_bytes_do_not_discredit_a_declared_encoding():
    assert decode_html(RUSSIAN.encode() * 10 + b"\xff", "utf-8")[1] == "utf-8"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\n<!DOCTYPE html>", True),
        (b"<!-- a --><HTML>", True),
        (b"\xef\xbb\xbf<p>", True),
        (b"%PDF-1.4", False),
        (b"{}", False),
        (b"", False),
        (b"<svg>", False),
    ],
)
def test_undeclared_html_is_known_by_its_start(body, expected):
    assert looks_like_html(body) is expected


@pytest.mark.timeout(30)
def test_repeated_comments_and_titles_are_passed_in_linear_time():
    assert not looks_like_html(b"<!---->" * 100_000)
    assert page_title("<title>" * 100_000) is None


def test_the_title_is_unescaped_and_on_one_line():
    assert page_title("<html><TITLE lang=en>\n A &amp; B\n</TITLE><title>C</title>") == "A & B"
    assert page_title("<title> </title>") is None
    assert page_title("no title") is None


def test_control_characters_and_lone_surrogates_leave_the_text():
    assert clean_text("\x00a\r\nb\ud800\tc\x0c\n") == "a\nb\tc"


@pytest.mark.parametrize(
    ("url", "host", "domain"),
    [
        ("http://WWW.Example.co.uk.:8080/a", "www.example.co.uk", "example.co.uk"),
        ("https://someone.github.io/", "someone.github.io", "github.io"),
        ("http://www.internal.example/", "www.internal.example", "internal.example"),
        ("http://co.uk/", "co.uk", "co.uk"),
        ("http://127.0.0.1/", "127.0.0.1", "127.0.0.1"),
        ("http://localhost:80/", "localhost", "localhost"),
        ("http://[bad/", None, None),
        ("file:///a b.png", None, None),
        (None, None, None),
    ],
)
def test_host_and_registered_domain_come_from_the_url(url, host, domain):
    assert host_of(url) == host
    assert (registered_domain(host) if host else None) == domain
