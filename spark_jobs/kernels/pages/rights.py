"""What a page and its server say of its use: licence, robots directives, and the reservation of text and data mining.

All of it is read from the bytes, without a parse: names and values are ASCII in every encoding but UTF-16. Whoever
publishes a corpus evaluates it with a policy; here it is only recorded. Where a page says several things, all robots
directives count, and any reservation does.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

MAX_TAGS = 500
"""`meta` elements that are looked at for one page: real pages have a tenth."""
MAX_MENTIONS = 100
"""Mentions of Creative Commons that are looked at."""
MAX_DIRECTIVES = 64
MAX_TAG_BYTES = 4096
MAX_POLICY_CHARACTERS = 2048

# How far a link to a licence speaks of the whole page, by where it stands: said in the page's own metadata, as its
# licence, in the last part of the page, or anywhere. Only the order means anything; Dolma (Soldaini et al. 2024, its
# licence tagger) ranks links by their order on the page instead.
CONFIDENCE = {"link": 0.95, "metadata": 0.9, "anchor": 0.85, "end": 0.6, "elsewhere": 0.3}
CONTRADICTED = 0.5
"""Factor where the page names another licence in a place that counts as much."""
_END_SHARE = 0.15
"""Last part of a page in which a link counts as one in its footer, where there is no `footer` element."""

_LICENCE_URL = re.compile(
    rb"creativecommons\.org\\?/(?:licen[sc]es\\?/(?P<kind>(?:by|nc|nd|sa)(?:-(?:nc|nd|sa))*)|publicdomain\\?/(?P<public>zero|mark))(?:\\?/(?P<version>\d\.\d))?"
)
_ATTRIBUTE = re.compile(rb"""(?<![a-z0-9:._-])([a-z][a-z0-9:._-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_LICENCE_METADATA = frozenset(
    {
        b"dc.rights",
        b"dcterms.rights",
        b"dc.rights.uri",
        b"dc.rights.license",
        b"dcterms.license",
        b"license",
        b"cc:license",
        b"og:license",
    }
)
# What the names of all meta elements of interest have in common: most of a page's have none of it.
_OF_INTEREST = re.compile(rb"bot|tdm-|rights|licen|slurp|google-ext|anthropic|teoma|facebookext|applebot")
_SAYS_LICENCE = re.compile(rb"""\srel\s*=\s*["']?[^"'>]{0,100}?\blicense\b""")
_LICENCE_KEY = re.compile(rb"""["']license["']\s*:\s*(?:\{[^{}]*|\[[^\]]*)?["'](?:https?:)?[\\/]*(?:www\.)?$""")
# Directives that take a value after a colon; any other name before a colon is that of an agent.
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview"})
# Its value is a date in one of several forms, with commas and colons of its own.
_DATE = re.compile(r"(unavailable_after)\s*:.*")
_DIRECTIVE = re.compile(r"-?[a-z0-9][a-z0-9_-]{0,40}")
_AGENT = re.compile(r"[a-z0-9][a-z0-9_./-]{1,40}")
# Agents whose names do not say that they are one.
_AGENTS = frozenset({"slurp", "google-extended", "anthropic-ai", "teoma", "facebookexternalhit", "applebot-extended"})
_LINK_HEADER = re.compile(r"<([^<>]*)>((?:[^<\",]|\"[^\"]*\")*)")


@dataclass(frozen=True, slots=True)
class Rights:
    """Null where nothing is said; `robots` is sorted and without repeats."""

    licence: str | None = None
    licence_version: str | None = None
    licence_confidence: float | None = None
    robots: tuple[str, ...] | None = None
    tdm_reservation: int | None = None
    tdm_policy: str | None = None


def page_rights(body: bytes, fields: Mapping[str, str]) -> Rights:
    """Rights of a page with these HTTP fields (names in lower case, repeated X-Robots-Tag on lines of their own)."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        body = body.decode("utf-16", "replace").encode()
    # ASCII letters only: offsets stay those of the body.
    lower = body.lower()
    metas = list(_metas(lower, body))
    robots = [*_header_directives(fields.get("x-robots-tag", "")), *_meta_directives(metas)]
    reservations = [fields.get("tdm-reservation", ""), *(value for name, value in metas if name == b"tdm-reservation")]
    policies = [fields.get("tdm-policy", ""), *(value for name, value in metas if name == b"tdm-policy")]
    said = {value.strip() for value in reservations} & {"0", "1"}
    licence, version, confidence = _licence(lower, fields.get("link", ""), metas)
    return Rights(
        licence=licence,
        licence_version=version,
        licence_confidence=confidence,
        robots=tuple(sorted(set(robots))[:MAX_DIRECTIVES]) or None,
        tdm_reservation=int(max(said)) if said else None,
        tdm_policy=next((policy.strip()[:MAX_POLICY_CHARACTERS] for policy in policies if policy.strip()), None),
    )


def _metas(lower: bytes, body: bytes) -> Iterator[tuple[bytes, str]]:
    """Lower-case name (or property) and content of the page's `meta` elements."""
    for start, tag in _meta_tags(lower):
        # Of a repeated attribute the first counts.
        attributes = dict(reversed(list(_attributes(tag))))
        name = attributes.get(b"name") or attributes.get(b"property") or attributes.get(b"http-equiv")
        content = attributes.get(b"content")
        if name and content:
            value = body[start + content[0] : start + content[1]].decode("utf-8", "replace")
            yield tag[name[0] : name[1]].strip(), html.unescape(value)


def _meta_tags(lower: bytes) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of the `meta` tags of interest, as far as the limits go."""
    at = -1
    for _ in range(MAX_TAGS):
        at = lower.find(b"<meta", at + 1)
        if at < 0:
            return
        end = lower.find(b">", at, at + MAX_TAG_BYTES)
        if end >= 0 and _OF_INTEREST.search(lower, at, end):
            yield at, lower[at : end + 1]


def _attributes(tag: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Names of a tag's attributes, and where in it their values are."""
    for found in _ATTRIBUTE.finditer(tag):
        yield found[1], found.span(found.lastindex or 0)


def _header_directives(value: str) -> Iterator[str]:
    for line in value.lower().split("\n"):
        yield from _directives(line, None)


def _meta_directives(metas: Iterable[tuple[bytes, str]]) -> Iterator[str]:
    for name, content in metas:
        agent = name.decode("ascii", "replace")
        if agent == "robots":
            yield from _directives(content.lower(), None)
        elif agent in _AGENTS or (agent.endswith("bot") and _AGENT.fullmatch(agent)):
            yield from _directives(content.lower(), agent)


def _directives(text: str, agent: str | None) -> Iterator[str]:
    """Directives between commas or spaces; `name:` before one is an agent, for which it and those after it are
    meant. What is none is passed over."""
    text = re.sub(r"\s*:\s*", ":", _DATE.sub(r"\1", text[:MAX_TAG_BYTES]))
    for part in re.split(r"[,;\s]+", text)[:MAX_DIRECTIVES]:
        name, _, value = part.rpartition(":")
        if name and name not in _VALUED and _AGENT.fullmatch(name):
            agent, name = name, ""
        if _DIRECTIVE.fullmatch(value) and (not name or name in _VALUED):
            directive = f"{name}:{value}" if name else value
            yield f"{agent}: {directive}" if agent else directive


def _licence(
    lower: bytes, link_header: str, metas: list[tuple[bytes, str]]
) -> tuple[str | None, str | None, float | None]:
    """Kind, version and confidence of the best founded licence; of several equally well founded the first, with less
    confidence."""
    best: dict[tuple[str, str | None], float] = {}
    for kind, version, place in _statements(lower, link_header, metas):
        best[kind, version] = max(best.get((kind, version), 0.0), CONFIDENCE[place])
    if not best:
        return None, None, None
    (kind, version), confidence = max(best.items(), key=lambda item: item[1])
    contradicted = any(other != kind and value == confidence for (other, _), value in best.items())
    return kind, version, confidence * (CONTRADICTED if contradicted else 1.0)


def _statements(
    lower: bytes, link_header: str, metas: list[tuple[bytes, str]]
) -> Iterator[tuple[str, str | None, str]]:
    for target, parameters in _LINK_HEADER.findall(link_header[:MAX_TAG_BYTES]):
        if "license" in parameters.lower() and (found := _LICENCE_URL.search(target.lower().encode())):
            yield *_named(found), "link"
    for name, content in metas:
        if name in _LICENCE_METADATA and (found := _LICENCE_URL.search(content.lower().encode())):
            yield *_named(found), "metadata"
    at = lower.find(b"creativecommons.org")
    end_of_page = _end_of_page(lower) if at >= 0 else 0
    for _ in range(MAX_MENTIONS):
        if at < 0:
            return
        if found := _LICENCE_URL.match(lower, at):
            yield *_named(found), _place(lower, at, end_of_page)
        at = lower.find(b"creativecommons.org", at + 1)


def _place(lower: bytes, at: int, end_of_page: int) -> str:
    """Where a licence's URL stands: in a tag that says it is the licence, in the page's metadata, or only in a link."""
    opening = lower.rfind(b"<", max(0, at - MAX_TAG_BYTES), at)
    end = lower.find(b">", at, at + MAX_TAG_BYTES)
    tag = lower[opening : end + 1] if 0 <= opening < end else b""
    if tag.startswith((b"<link", b"<a")) and _SAYS_LICENCE.search(tag):
        return "link" if tag.startswith(b"<link") else "anchor"
    if _LICENCE_KEY.search(lower, max(0, at - 200), at):
        return "metadata"
    return "end" if at >= end_of_page else "elsewhere"


def _end_of_page(lower: bytes) -> int:
    footer = lower.rfind(b"<footer")
    return footer if footer >= 0 else int((1 - _END_SHARE) * len(lower))


def _named(found: re.Match[bytes]) -> tuple[str, str | None]:
    version = found["version"].decode() if found["version"] else None
    if found["public"]:
        return ("cc0" if found["public"] == b"zero" else "publicdomain"), version
    return found["kind"].decode(), version
