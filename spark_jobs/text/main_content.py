"""Extractors: from the characters of a page to its main content as plain text. They run inside the sandbox's child only."""

from __future__ import annotations

import importlib
from collections.abc import Callable

Extractor = Callable[[str], str | None]


def load_extractor(name: str) -> Extractor:
    """`trafilatura`, `trafilatura-fast`, `trafilatura-precision`, `resiliparse`, or `package.module:function` for one of the user's own."""
    if ":" in name:
        module, _, function = name.partition(":")
        extractor: Extractor = getattr(importlib.import_module(module), function)
        return extractor
    if name == "resiliparse":
        return _resiliparse()
    if name in ("trafilatura", "trafilatura-fast", "trafilatura-precision"):
        return _trafilatura(fast=name.endswith("-fast"), favor_precision=name.endswith("-precision"))
    raise ValueError(f"unknown extractor {name!r}")


def _trafilatura(fast: bool, favor_precision: bool) -> Extractor:
    """Barbaresi 2021 (ACL demo). No comments, as in RefinedWeb (Penedo et al. 2023, section 3.1) and after it FineWeb."""
    import trafilatura

    def extract(page: str) -> str | None:
        # deduplicate keeps state from page to page, so the text of a page would depend on the pages before it.
        text: str | None = trafilatura.extract(page, fast=fast, favor_precision=favor_precision, include_comments=False, deduplicate=False)
        return text

    return extract


def _resiliparse() -> Extractor:
    """Bevendorff et al. 2018 (ECIR); main content as in DCLM (Li et al. 2024, section 4.2)."""
    from resiliparse.extract.html2text import extract_plain_text

    def extract(page: str) -> str | None:
        text: str = extract_plain_text(page, main_content=True, alt_texts=False, links=False, comments=False)
        return text

    return extract
