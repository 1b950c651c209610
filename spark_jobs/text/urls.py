"""Host and registered domain of a URL, by the public suffix list that the `tld` package carries; nothing is fetched."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from tld import get_fld


def host_of(url: str | None) -> str | None:
    """Host in lower case, without port and the dot at its end; None where the URL has none or is malformed."""
    try:
        host = urlsplit(url or "").hostname
    except ValueError:
        return None
    return (host or "").rstrip(".") or None


@lru_cache(maxsize=100_000)
def registered_domain(host: str) -> str:
    """`example.co.uk` for `www.example.co.uk`; the host itself where no public suffix applies (addresses, `localhost`)."""
    try:
        domain = get_fld(f"http://{host}/", fail_silently=True, search_private=False)
    except ValueError:
        domain = None
    return domain or host
