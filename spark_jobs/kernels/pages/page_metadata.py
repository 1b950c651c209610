"""Title, author, day of publication and what a page says it is, from `meta` elements and JSON-LD: no tree is built,
so that it costs a millisecond.

Order of belief for each: JSON-LD of the page's main thing, Open Graph and its relatives, other `meta` elements, the
first marked element of the body.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from spark_jobs.kernels.pages.html import clean_text, page_title

_META = re.compile(r"<meta\s[^>]{1,4000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_LINKED_DATA = re.compile(r"<script\b[^>]{0,300}application/ld\+json[^>]{0,300}>", re.IGNORECASE)
_LOOSE_TYPE = re.compile(r'"@type"\s*:\s*\[?\s*"([\w:/.]+)"')
_CANONICAL = re.compile(r"<link\s[^>]{0,300}\brel\s*=\s*[\"']?canonical\b[^>]{0,2000}>", re.IGNORECASE)
_TIME = re.compile(r"<time\b[^>]{0,300}\bdatetime\s*=\s*[\"']?([^\"'>\s]{8,40})", re.IGNORECASE)
_BYLINE = re.compile(
    r"<(?:a|span)\b[^>]{0,300}\b(?:rel|itemprop)\s*=\s*[\"']?author\b[^>]{0,500}>\s*([^<>]{2,80}?)\s*<", re.IGNORECASE
)
_BYLINE_MARK = re.compile(r"=\s*[\"']?author\b", re.IGNORECASE)
_BYLINE_BEFORE = 400
"""Characters before its mark in which a byline's element begins."""
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/.]?(\d\d)[-/.]?(\d\d)(?!\d{3})")
_ADDRESS = re.compile(r"https?://|www\.|@", re.IGNORECASE)

_HEADING = re.compile(r"<h1\b[^>]{0,2000}>(.{2,500}?)</h1\s*>", re.IGNORECASE | re.DOTALL)
_ELEMENT = re.compile(r"<[^>]*>")
_SITE_MARKS = (" | ", " - ", " \u2013 ", " \u2014 ", " \u00b7 ", " : ")
_MIN_HEADING = 0.3
"""Share of the title that a heading inside it has to have, for not being the site's name or a single word."""

_TITLES = ("og:title", "twitter:title", "dc.title", "citation_title")
_AUTHORS = ("author", "article:author", "dc.creator", "citation_author", "parsely-author", "sailthru.author", "byl")
_DATE_NAMES = (
    "article:published_time datepublished date dc.date dc.date.issued citation_publication_date citation_date "
    "parsely-pub-date sailthru.date pubdate"
    " publish-date publishdate publish_date og:published_time og:article:published_time"
)
_DATES = tuple(_DATE_NAMES.split())
_WORKS = re.compile(
    r"article|posting|report|recipe|howto|review|creativework|video|podcast|qapage|question|discussion|book|webpage|product|event",
    re.IGNORECASE,
)
_MAX_CHARACTERS = 1 << 20
"""Characters of one JSON-LD script beyond which it is left unread."""


@dataclass(frozen=True, slots=True)
class PageMetadata:
    """What a page says of itself; None where it says nothing. `date` is YYYY-MM-DD, `kinds` are lower-case
    schema.org and Open Graph types."""

    title: str | None = None
    author: str | None = None
    date: str | None = None
    address: str | None = None
    kinds: frozenset[str] = frozenset()
    body: str = ""
    """The text of the page's main thing as JSON-LD gives it, mostly that of an article or the posts of a thread;
    white space collapsed."""
    description: str = ""
    """What the page says it is about, in all the places where it says so; white space collapsed."""


def page_metadata(page: str) -> PageMetadata:
    """Metadata of a page; never raises for any page."""
    metas = _metas(page)
    things = list(_linked_data(page))
    works = [thing for thing in things if any(_WORKS.search(kind) for kind in _types(thing))]
    kinds = {kind.lower().rpartition("/")[2] for kind in _LOOSE_TYPE.findall(page)} | {
        metas.get("og:type", "").lower()
    } - {""}
    return PageMetadata(
        title=_title(metas, page),
        author=_author(works, metas, page),
        date=_date(works, metas, page),
        address=metas.get("og:url") or _canonical(page),
        kinds=frozenset(kinds),
        body=_joined(text for work in works for text in _texts(work, ("articleBody", "text", "reviewBody"))),
        description=_joined(
            [
                metas.get("description", ""),
                metas.get("og:description", ""),
                *(text for work in works for text in _texts(work, ("description",))),
            ]
        ),
    )


def _title(metas: Mapping[str, str], page: str) -> str | None:
    """The title without the site's name around it, where the page's main heading tells which part that is."""
    title = _line(next((metas[name] for name in _TITLES if metas.get(name)), None)) or page_title(page)
    if title is not None:
        for found in _HEADING.finditer(page):
            heading = _line(_ELEMENT.sub(" ", found[1]))
            if (
                heading is not None
                and len(heading) >= _MIN_HEADING * len(title)
                and heading.casefold() in title.casefold()
            ):
                return heading
        for mark in _SITE_MARKS:
            before, _, site = title.rpartition(mark)
            if before and site.casefold() == metas.get("og:site_name", "").casefold():
                return before
    return title


def _author(works: list[Mapping[str, object]], metas: Mapping[str, str], page: str) -> str | None:
    names = [name for work in works for name in _names(work.get("author"))]
    if not names:
        names = [metas[name] for name in _AUTHORS if name in metas]
        names = [name for name in names if not _ADDRESS.search(name)][:1]
    if not names:
        names = [html.unescape(found[1]) for found in [_byline(page)] if found]
    unique = dict.fromkeys(
        line for name in names if (line := _line(name)) and len(line) <= 100 and not _ADDRESS.search(line)
    )
    return "; ".join(list(unique)[:10]) or None


def _byline(page: str) -> re.Match[str] | None:
    """The first marked name of the body; most pages have no mark, which is much sooner seen than that they have no
    such element."""
    mark = _BYLINE_MARK.search(page)
    return _BYLINE.search(page, max(mark.start() - _BYLINE_BEFORE, 0)) if mark else None


def _date(works: list[Mapping[str, object]], metas: Mapping[str, str], page: str) -> str | None:
    said = [work.get(key) for key in ("datePublished", "dateCreated", "uploadDate") for work in works]
    said += [metas.get(name) for name in _DATES]
    said += [found[1] for found in [_TIME.search(page)] if found]
    return next((day for text in said if isinstance(text, str) and (day := _day(text))), None)


def _day(text: str) -> str | None:
    """The first day in a text that begins with its year, as YYYY-MM-DD; None where there is none in the calendar."""
    for found in _DAY.finditer(text[:100]):
        try:
            return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
        except ValueError:
            continue
    return None


def _metas(page: str) -> dict[str, str]:
    """Content of the `meta` elements by lower-case name, property or itemprop; the first of a name counts."""
    found: dict[str, str] = {}
    for element in _META.findall(page):
        attributes = _attributes(element)
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop")
        if name and attributes.get("content"):
            found.setdefault(name.lower(), html.unescape(attributes["content"]))
    return found


def _attributes(element: str) -> dict[str, str]:
    return {name.lower(): double or single or bare for name, double, single, bare in _ATTRIBUTE.findall(element)}


def _canonical(page: str) -> str | None:
    found = _CANONICAL.search(page)
    return _attributes(found[0]).get("href") if found else None


def _linked_data(page: str) -> Iterator[Mapping[str, object]]:
    """Things that the page's JSON-LD describes at its top and in its graphs; unreadable scripts are passed over."""
    end = 0
    while found := _LINKED_DATA.search(page, end):
        end = page.find("</script", found.end())
        if end < 0:
            return
        if end - found.end() > _MAX_CHARACTERS:
            continue
        try:
            # Line feeds inside strings are invalid JSON and common.
            data = json.loads(page[found.end() : end].strip().rstrip(";"), strict=False)
        except (ValueError, RecursionError):
            continue
        for thing in data if isinstance(data, list) else [data]:
            if isinstance(thing, dict):
                graph = thing.get("@graph")
                yield from (part for part in (graph if isinstance(graph, list) else [thing]) if isinstance(part, dict))


def _types(thing: Mapping[str, object]) -> list[str]:
    kinds = thing.get("@type")
    return [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]


def _names(author: object) -> list[str]:
    """Names in a JSON-LD author: a text, a thing with a name, or a list of them."""
    if isinstance(author, list):
        return [name for one in author for name in _names(one)]
    if isinstance(author, dict):
        return _names(author.get("name"))
    return [author] if isinstance(author, str) else []


def _texts(thing: Mapping[str, object], keys: tuple[str, ...], depth: int = 3) -> Iterator[str]:
    """Texts under `keys` in a thing and, for threads and questions, in the things inside it."""
    for key, value in thing.items():
        if key in keys and isinstance(value, str):
            yield value
        elif depth and key in ("mainEntity", "comment", "suggestedAnswer", "acceptedAnswer", "review"):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    yield from _texts(part, keys, depth - 1)


def _joined(texts: Iterable[str]) -> str:
    return " ".join(word for text in texts for word in html.unescape(text).split())


def _line(text: str | None) -> str | None:
    """On one line and clean; None for nothing."""
    return clean_text(" ".join(html.unescape(text).split())) or None if text else None
