"""Host and registered domain of a URL, by the public suffix list that the `tld` package carries; nothing is fetched."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from tld import get_fld, is_tld


def host_of(url: str | None) -> str | None:
    """Host in lower case, without port and the dot at its end; None where the URL has none or is malformed."""
    try:
        host = urlsplit(url or "").hostname
    except ValueError:
        return None
    return (host or "").rstrip(".") or None


def ascii_host(host: str) -> str:
    """`xn--bcher-kva.example` for `bücher.example`, so that both forms of a name are one; without the dot at its end.
    Empty where it is no valid name."""
    host = host.rstrip(".")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


@lru_cache(maxsize=100_000)
def registered_domain(host: str) -> str:
    """`example.co.uk` for `www.example.co.uk`; the host itself for addresses, single names and public suffixes.

    Under a top-level domain that the list does not know, the last two labels, as the list's own default rule says.
    """
    if "." not in host or _is_address(host) or is_tld(host, search_private=False):
        return host
    domain: str | None = get_fld(f"http://{host}/", fail_silently=True, search_private=False)
    return domain or ".".join(host.rsplit(".", 2)[-2:])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
