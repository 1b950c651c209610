"""Three forms of a URL, each for one question, from the most faithful to the least.

`request_url`: what is asked of a server; only what no server sees is gone. `same_page_key`: captures with equal keys
are captures of one page; parameters that only track a visitor are gone, the order of the others does not count.
`bare_url`: what a list of domains and URLs names; lists are written by hand, so case, scheme and port do not count.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urldefrag, urlencode, urlsplit

from spark_jobs.kernels.gates.urls import ascii_host

_DEFAULT_PORTS = ("", "80", "443")
_TRACKING = re.compile(
    r"utm_\w+|gclid|dclid|fbclid|msclkid|yclid|igshid|mc_cid|mc_eid|phpsessid|jsessionid", re.IGNORECASE
)
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/?#]*", re.IGNORECASE)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/@?]*@)?")
_PORT = re.compile(r"([^/:?]+):\d*(?=[/?]|$)")


def request_url(url: str) -> str:
    """The URL with everything escaped that must be, and without its fragment."""
    return urldefrag(quote(url.strip(), safe=":/?#[]@!$&'()*+,;=%~")).url


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


def bare_url(url: str) -> str:
    """Host, path and query in lower case, without scheme, user, port, fragment and the slash at the end: in these
    the same page may differ."""
    bare = url.strip().partition("#")[0].lower()
    if scheme := _SCHEME.match(bare):
        bare = bare[scheme.end() :]
    if port := _PORT.match(bare):
        bare = port[1] + bare[port.end() :]
    host, slash, path = bare.partition("/")
    # A name that is not valid is empty: no list of names can hold it.
    return (ascii_host(host) + slash + path).rstrip("/")
