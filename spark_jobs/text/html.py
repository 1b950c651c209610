"""HTML bytes to characters, and the small questions that are asked of a page before its main content is extracted."""

from __future__ import annotations

import html
import re

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
# The HTML standard looks at 1,024 bytes for a declared encoding; real pages put scripts before it.
PRESCAN_BYTES = 8192
# A declared encoding is believed unless more characters than this are invalid in it.
MAX_INVALID_SHARE = 0.001

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
_META_CHARSET = re.compile(rb"""<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:+-]+)""", re.IGNORECASE)
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|script|div|p|h1|table)\b", re.IGNORECASE | re.DOTALL
)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def looks_like_html(body: bytes) -> bool:
    """Whether undeclared content starts as HTML pages do."""
    head = body[:PRESCAN_BYTES]
    for mark, _ in _BYTE_ORDER_MARKS:
        head = head.removeprefix(mark)
    return _HTML_START.match(head) is not None


def decode_html(body: bytes, declared: str | None) -> tuple[str, str]:
    """Characters, and the encoding they were read in (a WHATWG name).

    The order is that of browsers (HTML standard, section 13.2.3.2): byte order mark, `declared` by the server, declared by the page, detected. Unlike
    browsers, a declaration that the bytes contradict is passed over, and so is any other beside bytes that are valid UTF-8 beyond ASCII.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace"), name
    if not body.isascii():
        try:
            return body.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    found = _META_CHARSET.search(body, 0, PRESCAN_BYTES)
    in_page = found[1].decode("ascii").lower() if found else None
    if in_page is not None and in_page.startswith("utf-16"):
        # The standard: a page whose declaration can be read as ASCII is not UTF-16.
        in_page = "utf-8"
    for label in (declared, in_page):
        believed = map_encoding_to_html5(label, fallback_utf8=False) if label else None
        if believed is None:
            continue
        text = bytes_to_str(body, believed, "replace", fallback_encodings=())
        if text.count("\ufffd") <= MAX_INVALID_SHARE * len(text):
            return text, believed
    name = "utf-8" if body.isascii() else detect_encoding(body, html5_compatible=True) or "utf-8"
    return bytes_to_str(body, name, "replace", fallback_encodings=()), name


def page_title(page: str) -> str | None:
    """Text of the first `title` element, white space collapsed; None where there is none or it is empty."""
    found = _TITLE.search(page, 0, 1 << 18)
    title = " ".join(html.unescape(found[1]).split()) if found else ""
    return clean_text(title) or None


def clean_text(text: str) -> str:
    """Without control characters and lone surrogates, which no table or tokenizer wants; line feeds and tabs stay."""
    return _NOT_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
