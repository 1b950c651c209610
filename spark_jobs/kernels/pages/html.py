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
_COMMENT = re.compile(rb"<!--(?:-?>|.*?(?:-->|\Z))", re.DOTALL)
_XML_ENCODING = re.compile(rb"""\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([^"'>]*)""")
_META = re.compile(rb"<meta[\s/]([^>]*)", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""(?<![\w-])([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_CONTENT_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([^\s;"']+)""", re.IGNORECASE)
_HTML_START = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>\s*+)?+(?>(?:(?><!--.*?-->)\s*+)*+)<(?:!doctype\s+html|html|head|body|title|meta|script|div|p|h1|table)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE_START = re.compile(r"<title\b[^>]*>", re.IGNORECASE)
_TITLE_END = re.compile(r"</title\s*>", re.IGNORECASE)
_TITLE_CHARACTERS = 1 << 18
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def looks_like_html(body: bytes) -> bool:
    """Whether undeclared content starts as HTML pages do."""
    head = body[:PRESCAN_BYTES]
    for mark, _ in _BYTE_ORDER_MARKS:
        head = head.removeprefix(mark)
    return _HTML_START.match(head) is not None


def decode_html(body: bytes, declared: str | None) -> tuple[str, str]:
    """Characters, and the encoding they were read in (a WHATWG name).

    The order is that of browsers (HTML standard, section 13.2.3.2): byte order mark, `declared` by the server,
    declared by the page, detected. Unlike browsers, a declaration that the bytes contradict is passed over, and so
    is any other beside bytes that are valid UTF-8 beyond ASCII.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace"), name
    if not body.isascii():
        try:
            return body.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    for label in (declared, declared_in_page(body)):
        believed = map_encoding_to_html5(label, fallback_utf8=False) if label else None
        if believed is None or (believed.startswith("utf-16") and b"\0" not in body[:PRESCAN_BYTES]):
            # Tags are ASCII, whose characters have a zero byte in UTF-16; without one, hardly any bytes are invalid in
            # it.
            continue
        text = bytes_to_str(body, believed, "replace", fallback_encodings=())
        if text.count("\ufffd") <= MAX_INVALID_SHARE * len(text):
            return text, believed
    name = "utf-8" if body.isascii() else detect_encoding(body, html5_compatible=True) or "utf-8"
    return bytes_to_str(body, name, "replace", fallback_encodings=()), name


def declared_in_page(body: bytes) -> str | None:
    """The encoding's label that a page gives itself, by the standard's prescan (section 13.2.3.2): in a `meta`
    element, or else in an XML declaration.

    Comments declare nothing. As there, a declaration that can be read as ASCII is not one of UTF-16, and
    `x-user-defined` means windows-1252.
    """
    head = _COMMENT.sub(b"", body[:PRESCAN_BYTES])
    labels = [label for meta in _META.finditer(head) if (label := _declared_by(dict(reversed(_attributes(meta[1])))))]
    if not labels and (xml := _XML_ENCODING.match(head)):
        labels = [xml[1]]
    if not labels:
        return None
    name = labels[0].decode("ascii", "replace").strip().lower()
    return "utf-8" if name.startswith("utf-16") else "windows-1252" if name == "x-user-defined" else name


def _declared_by(attributes: dict[bytes, bytes]) -> bytes | None:
    if b"charset" in attributes:
        return attributes[b"charset"]
    if attributes.get(b"http-equiv", b"").strip().lower() != b"content-type":
        return None
    found = _CONTENT_CHARSET.search(attributes.get(b"content", b""))
    return found[1] if found else None


def _attributes(tag: bytes) -> list[tuple[bytes, bytes]]:
    return [(found[1].lower(), found[found.lastindex or 0]) for found in _ATTRIBUTE.finditer(tag)]


def page_title(page: str) -> str | None:
    """Text of the first `title` element, white space collapsed; None where there is none or it is empty."""
    start = _TITLE_START.search(page, 0, _TITLE_CHARACTERS)
    end = _TITLE_END.search(page, start.end(), _TITLE_CHARACTERS) if start else None
    title = page[start.end() : end.start()] if start and end else ""
    return clean_text(" ".join(html.unescape(title).split())) or None


def clean_text(text: str) -> str:
    """Without control characters and lone surrogates, which no table or tokenizer wants; line feeds and tabs stay."""
    return _NOT_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
