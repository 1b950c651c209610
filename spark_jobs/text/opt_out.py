"""Lists of domains and URLs whose owners want their pages left out, and which of many pages they name.

A line is a domain (`example.org` also means every host below it) or a URL (that page alone; scheme, `www.`, a fragment and a slash at the end do not
matter). Blank lines and what follows a `#` at the start of a word are comments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import UsageError

_COMMENT = re.compile(r"(^|\s)#.*")
_BEFORE_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(www\.)?"
_AFTER_PAGE = r"(#.*)?$"
MOST_LABELS = 128
"""A host name of 253 characters has no more labels (RFC 1035, section 2.3.4)."""


@dataclass(frozen=True)
class OptOuts:
    """What several lists name, as sorted Arrow strings."""

    domains: pa.Array
    pages: pa.Array

    def names(self, hosts: pa.Array, urls: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each page, by its host and URL (strings or null), whether a list names it; one boolean for each."""
        distinct = hosts.dictionary_encode()
        of_host = np.append(self._name_hosts(distinct.dictionary), False)
        named = of_host[pc.fill_null(distinct.indices, len(distinct.dictionary)).to_numpy(zero_copy_only=False)]
        if len(self.pages):
            named |= pc.is_in(comparable_urls(urls), value_set=self.pages).to_numpy(zero_copy_only=False)
        return named

    def _name_hosts(self, hosts: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        named = np.zeros(len(hosts), bool)
        above = hosts
        for _ in range(MOST_LABELS if len(self.domains) else 0):
            named |= pc.is_in(above, value_set=self.domains).to_numpy(zero_copy_only=False)
            shorter = pc.replace_substring_regex(above, pattern=r"^[^.]*\.", replacement="", max_replacements=1)
            if shorter.equals(above):
                break
            above = shorter
        return named


def comparable_urls(urls: pa.Array) -> pa.Array:
    """URLs as lists compare them; null stays null."""
    page = pc.replace_substring_regex(pc.replace_substring_regex(urls, pattern=_BEFORE_HOST, replacement=""), pattern=_AFTER_PAGE, replacement="")
    host = pc.utf8_lower(pc.replace_substring_regex(page, pattern=r"[/?].*$", replacement=""))
    path = pc.replace_substring_regex(page, pattern=r"^[^/?]*", replacement="")
    return pc.utf8_rtrim(pc.binary_join_element_wise(host, path, ""), characters="/")


def parse_opt_outs(lines: Iterable[str]) -> OptOuts:
    entries = {entry for line in lines if (entry := _COMMENT.sub("", line).strip())}
    pages = {entry for entry in entries if "/" in entry.rstrip("/").partition("://")[2] or ("://" not in entry and "/" in entry.rstrip("/"))}
    hosts = pa.array(sorted(entries - pages), pa.string())
    domains = pc.ascii_ltrim(comparable_urls(hosts), characters="*.")
    addresses = comparable_urls(pa.array([page if "://" in page else f"http://{page}" for page in sorted(pages)], pa.string()))
    return OptOuts(domains.unique(), addresses.unique())


@cache
def load_opt_outs(paths: tuple[str, ...]) -> OptOuts:
    """What the files name together, read once a process. Raises `UsageError` for a file that is missing or names nothing."""
    lines: list[str] = []
    for path in paths:
        text = _read(path).decode("utf-8", errors="replace")
        if not any(_COMMENT.sub("", line).strip() for line in text.splitlines()):
            raise UsageError(f"opt-out list {path}: names no domain and no URL")
        lines += text.splitlines()
    return parse_opt_outs(lines)


def opt_outs_sha256(paths: Iterable[str]) -> dict[str, str]:
    """Path of each list to the SHA-256 of its content."""
    return {path: hashlib.sha256(_read(path)).hexdigest() for path in paths}


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"opt-out list {path}: cannot be read: {error.strerror}") from None
