"""Extractors: from the characters of a page to its main content as plain text or Markdown. They run inside the
sandbox's child only.

None keeps anything from page to page: the text of a page is the same whatever came before it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from spark_jobs.kernels.pages.page_metadata import PageMetadata, page_metadata

Extractor = Callable[[str], str | None]

MAX_ELEMENTS = 50_000
"""Tags of a page beyond which trafilatura is not tried: its time grows faster than a page, and such pages are tables
and dumps."""
MAX_DEPTH = 500
"""Depth of nesting beyond which trafilatura is not tried: it descends by recursion."""
_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)")
# Elements that need no end tag, so that their starts do not tell how deep a page is.
_OPTIONAL_ENDS = (
    "area base br col dd dt embed hr img input li link meta option p param source tbody td tfoot th thead tr track wbr"
)
_UNCLOSED = frozenset(_OPTIONAL_ENDS.split())


@dataclass(frozen=True, slots=True)
class MainContent:
    """What was found on a page; `page_type` is one of `page_type.PAGE_TYPES`, None from an extractor that does not
    tell."""

    text: str
    metadata: PageMetadata
    page_type: str | None = None


PageReader = Callable[[str], MainContent]


def load_reader(name: str, min_words: int = 0) -> PageReader:
    """Reader of pages by the extractor `name` (see `load_extractor`); pages with fewer than `min_words` words in all
    are left to the fast one.

    Raises ValueError for a name that is none.
    """
    if name in ("headwater", "headwater-markdown"):
        from spark_jobs.kernels.pages.main_content_blocks import read_main_content

        # It is itself the fast one: a page without enough words costs it little more than the count of them.
        return lambda page: read_main_content(page, as_markdown=name == "headwater-markdown")
    extractor = load_extractor(name)
    if min_words > 0:
        extractor = fast_text_first(extractor, min_words)
    return lambda page: MainContent(extractor(page) or "", page_metadata(page))


def load_extractor(name: str) -> Extractor:
    """`headwater`, `headwater-markdown`, `trafilatura`, `trafilatura-fast`, `trafilatura-precision`, `resiliparse`,
    or `package.module:function`.

    The last is a function of the user's own, from a page's characters to its text. Raises ValueError for a name that
    is none of these.
    """
    if ":" in name:
        module, _, function = name.partition(":")
        extractor: Extractor = getattr(importlib.import_module(module), function)
        return extractor
    if name in ("headwater", "headwater-markdown"):
        reader = load_reader(name)
        return lambda page: reader(page).text
    if name == "resiliparse":
        return _resiliparse(main_content=True)
    if name in ("trafilatura", "trafilatura-fast", "trafilatura-precision"):
        return _within_limits(_trafilatura(fast=name.endswith("-fast"), favor_precision=name.endswith("-precision")))
    raise ValueError(f"unknown extractor {name!r}")


def fast_text_first(slow: Extractor, min_words: int) -> Extractor:
    """An extractor that spares `slow` the pages that a gate on words would reject whatever it found.

    The visible text of a page, navigation and all, is counted first, which costs 2 ms. Where even that has fewer
    than `min_words` words, main content cannot have more, and the answer is resiliparse's main content. The order of
    magnitude for `min_words` is a policy's own minimum.
    """
    everything, fast = _resiliparse(main_content=False), _resiliparse(main_content=True)

    def extract(page: str) -> str | None:
        return fast(page) if len((everything(page) or "").split()) < min_words else slow(page)

    return extract


def page_size(page: str) -> tuple[int, int]:
    """Tags of a page and, if they are at most MAX_ELEMENTS, how deep elements are nested in it; both from the
    characters, without a tree."""
    tags = page.count("<")
    depth = deepest = 0
    if tags <= MAX_ELEMENTS:
        for end, name in _TAG.findall(page):
            if name.lower() not in _UNCLOSED:
                depth = max(depth - 1, 0) if end else depth + 1
                deepest = max(deepest, depth)
    return tags, deepest


def _within_limits(slow: Extractor) -> Extractor:
    """`slow` for pages of usual size and depth, resiliparse's main content for the others."""
    fast = _resiliparse(main_content=True)

    def extract(page: str) -> str | None:
        tags, depth = page_size(page)
        return slow(page) if tags <= MAX_ELEMENTS and depth <= MAX_DEPTH else fast(page)

    return extract


def _trafilatura(fast: bool, favor_precision: bool) -> Extractor:
    """Barbaresi 2021 (ACL demo). No comments, as in RefinedWeb (Penedo et al. 2023, section 3.1) and after it
    FineWeb."""
    import trafilatura

    def extract(page: str) -> str | None:
        # deduplicate keeps state from page to page, so the text of a page would depend on the pages before it.
        text: str | None = trafilatura.extract(
            page, fast=fast, favor_precision=favor_precision, include_comments=False, deduplicate=False
        )
        return text

    return extract


def _resiliparse(main_content: bool) -> Extractor:
    """Bevendorff et al. 2018 (ECIR); main content as in DCLM (Li et al. 2024, section 4.2)."""
    from resiliparse.extract.html2text import extract_plain_text

    def extract(page: str) -> str | None:
        text: str = extract_plain_text(page, main_content=main_content, alt_texts=False, links=False, comments=False)
        return text

    return extract
