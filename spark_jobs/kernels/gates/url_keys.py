"""URLs under which sites give the same page, as one string."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_DEFAULT_PORTS = ("", "80", "443")
_TRACKING = re.compile(
    r"utm_\w+|gclid|dclid|fbclid|msclkid|yclid|igshid|mc_cid|mc_eid|phpsessid|jsessionid", re.IGNORECASE
)
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/?#]*", re.IGNORECASE)


def same_page_key(url: str) -> str | None:
    """Host, path and sorted query of a URL; None where it has no host.

    RFC 3986, section 6.2.2, says what is equal: case of the host, `%7E` and `~`, `/a/../b` and `/b`. Beyond that,
    http and https, a leading `www.`, default ports, the order of parameters, parameters that only track a visitor,
    and fragments (but not `#!`, which names a page) make no difference.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip(".").removeprefix("www."), parts.port
    except ValueError:
        return None
    if not host:
        return None
    where = host if port is None or str(port) in _DEFAULT_PORTS else f"{host}:{port}"
    path = "/".join(map(_escaped_alike, _without_dots(_SESSION_IN_PATH.sub("", parts.path)).split("/")))
    parameters = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    query = urlencode(sorted(pair for pair in parameters if not _TRACKING.fullmatch(pair[0])), errors="surrogateescape")
    page = f"#{parts.fragment}" if parts.fragment.startswith("!") else ""
    return f"{where}{path or '/'}{'?' if query else ''}{query}{page}"


def _escaped_alike(segment: str) -> str:
    return quote(unquote(segment, errors="surrogateescape"), safe=":@!$&'()*+,;=~", errors="surrogateescape")


def _without_dots(path: str) -> str:
    """The path without `.` and `..` (RFC 3986, section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    ends_in_folder = path.endswith(("/.", "/.."))
    return "/" + "/".join(kept) + ("/" if ends_in_folder and kept else "")
