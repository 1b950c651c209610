"""A web site of documentation, made from the Python packages that are installed here: something real to crawl where
nothing may be downloaded.

Sources are parsed, never imported. The site has what real ones have: navigation, side bars and footers on every
page, pages in several parts, one licence under many addresses, redirects, dead links, files that are no pages, and a
part that robots.txt closes. The same environment gives the same site.
"""

from __future__ import annotations

import ast
import csv
import html
import importlib.metadata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path, PurePath

from docutils.core import publish_parts
from markdown_it import MarkdownIt

from schemas.plumbing.configuration import Config
from spark_jobs.kernels.pages.docstring_html import docstring_html

_TITLE = "Package Documentation"
_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "testing", "_vendor", "vendored", "vendor", "__pycache__", "benchmarks", "conftest", "locale"}
)
_LICENCE_NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")


class SiteConfig(Config):
    """How large a site to make."""

    max_pages: int = 2200
    """Pages of documentation at most; listings and licences come on top."""
    max_modules_per_package: int = 20
    """Source files that are read of each package, the largest first."""
    max_source_bytes: int = 300_000
    """Larger sources are left out: they are generated."""
    min_words: int = 80
    """A module whose docstrings have fewer words gets no page."""
    words_per_part: int = 1800
    """Words after which a module's documentation goes on on a further page."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What an address of the site answers."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    location: str | None = None


@dataclass(slots=True)
class _Package:
    name: str
    version: str
    summary: str
    read_me: str
    licences: list[str]
    modules: dict[str, list[str]] = field(default_factory=dict)
    """Dotted name to the HTML of its parts."""

    @property
    def path(self) -> str:
        return f"/{self.name.lower()}/"

    def part_paths(self) -> Iterator[tuple[str, str, str]]:
        """Address, title and content of each page of the package's modules."""
        for module, parts in self.modules.items():
            for number, content in enumerate(parts, start=1):
                suffix, of = ("", "") if number == 1 else (f"-{number}", f" (part {number} of {len(parts)})")
                yield f"{self.path}{module}{suffix}.html", f"{module}{of}", content


def package_site(config: SiteConfig) -> dict[str, Resource]:
    """Address to resource, `/` first; every page can be reached from there."""
    packages = _packages(config)
    site = {"/": Resource(_page("Start", _start(packages), "/", packages, ""))}
    for package in packages:
        pages = list(package.part_paths())
        sidebar = "".join(f'<li><a href="{path}">{html.escape(title)}</a></li>' for path, title, _ in pages[:40])
        site[package.path] = Resource(
            _page(f"{package.name} {package.version}", _overview(package, pages), package.path, packages, sidebar)
        )
        site[package.path.rstrip("/")] = Resource(b"", status=301, location=package.path)
        for number, (path, title, content) in enumerate(pages):
            around = "".join(
                f'<a rel="{rel}" href="{pages[at][0]}">{label}</a> '
                for rel, label, at in (("prev", "Previous", number - 1), ("next", "Next", number + 1))
                if 0 <= at < len(pages)
            )
            body = f"<h1>{html.escape(title)}</h1>\n{content}\n<p class='around'>{around}</p>"
            site[path] = Resource(_page(f"{title} - {package.name}", body, path, packages, sidebar))
        for number, licence in enumerate(package.licences):
            # A licence is the same page whichever package points at it, as on real sites.
            page = Resource(_page("Licence", f"<h1>Licence</h1>{_plain_html(licence)}", "/licences/", packages, ""))
            site[f"{package.path}licence-{number}.html"] = page
            site[f"/licences/{package.name.lower()}-{number}.html"] = page
    return site | _extras(packages)


def _packages(config: SiteConfig) -> list[_Package]:
    found, pages = [], 0
    distributions = {dist.name: dist for dist in importlib.metadata.distributions() if dist.name}
    for name in sorted(distributions, key=str.lower):
        if pages >= config.max_pages:
            break
        package = _package(distributions[name], config, config.max_pages - pages)
        pages += sum(map(len, package.modules.values()))
        if package.modules or package.read_me:
            found.append(package)
    return found


def _package(distribution: importlib.metadata.Distribution, config: SiteConfig, max_pages: int) -> _Package:
    facts: Message = distribution.metadata  # type: ignore[assignment]
    files = _recorded_files(distribution)
    licences = [
        path.read_text(encoding="utf-8", errors="replace")
        for name, path, _ in files
        if _is_licence(PurePath(name)) and path.is_file()
    ]
    package = _Package(
        name=distribution.name,
        version=distribution.version,
        summary=facts.get("Summary") or "",
        read_me=_read_me_html(facts),
        licences=list(dict.fromkeys(licence for licence in licences if len(licence) > 200))[:3],
    )
    sources = [file for file in files if _is_source(PurePath(file[0])) and 500 < file[2] <= config.max_source_bytes]
    largest = sorted(sources, key=lambda file: (-file[2], file[0]))[: config.max_modules_per_package]
    for name, path, _ in sorted(largest):
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        parts = _module_parts(path, config) if max_pages > 0 else []
        if parts and module.isascii() and len(parts) <= max_pages:
            package.modules[module] = parts
            max_pages -= len(parts)
    return package


def _recorded_files(distribution: importlib.metadata.Distribution) -> list[tuple[str, Path, int]]:
    """Name, place and size of each file that was installed, by the installer's record; `distribution.files` would
    ask the file system for each."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return sorted(
        (row[0], Path(str(distribution.locate_file(row[0]))), int(row[2]))
        for row in rows
        if len(row) == 3 and row[2].isdigit()
    )


def _is_source(path: PurePath) -> bool:
    return (
        path.suffix == ".py"
        and not path.name.startswith("test_")
        and not _SKIPPED_FOLDERS.intersection(path.parts)
        and ".." not in path.parts
    )


def _is_licence(path: PurePath) -> bool:
    return path.name.upper().startswith(_LICENCE_NAMES) and path.suffix.lower() in ("", ".txt", ".md", ".rst")


def _module_parts(path: Path, config: SiteConfig) -> list[str]:
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    parts, words, total = [""], 0, 0
    for title, docstring in _documented(tree):
        if words > config.words_per_part:
            parts.append("")
            words = 0
        heading = f"<h2><code>{html.escape(title)}</code></h2>\n" if title else ""
        parts[-1] += f"<section>{heading}{docstring_html(docstring)}</section>\n"
        words += len(docstring.split())
        total += len(docstring.split())
    return parts if total >= config.min_words else []


def _documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Signature and docstring of the module (no signature) and of its public classes, methods and functions, in the
    order of the source."""
    if docstring := ast.get_docstring(tree):
        yield "", docstring
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield from _documented_symbol(node, "")


def _documented_symbol(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, owner: str
) -> Iterator[tuple[str, str]]:
    name = f"{owner}{node.name}"
    if docstring := ast.get_docstring(node):
        yield (
            f"class {name}" if isinstance(node, ast.ClassDef) else f"{name}({ast.unparse(node.args)})"[:300],
            docstring,
        )
    if isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith("_"):
                yield from _documented_symbol(member, f"{name}.")


def _read_me_html(facts: Message) -> str:
    payload = facts.get_payload()
    text = facts.get("Description") or (payload if isinstance(payload, str) else "")
    if not text.strip() or text.strip() == "UNKNOWN":
        return ""
    if "markdown" in (facts.get("Description-Content-Type") or "").lower():
        return str(MarkdownIt("commonmark", {"html": False}).render(text))
    settings = {
        "report_level": 5,
        "halt_level": 5,
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "syntax_highlight": "none",
    }
    return str(publish_parts(text, writer="html5", settings_overrides=settings)["fragment"])


def _start(packages: list[_Package]) -> str:
    rows = "".join(
        f'<li><a href="{p.path.rstrip("/")}">{html.escape(p.name)}</a> {p.version}: {html.escape(p.summary)}</li>'
        for p in packages
    )
    intro = "This site documents the packages of one Python environment, from their own sources."
    data, notes = '<a href="/packages.json">the list as data</a>', '<a href="/private/">internal notes</a>'
    more = f'<p><a href="/licences/">Licences</a>, {data}, {notes}.</p>'
    return f"<h1>{_TITLE}</h1><p>{intro}</p><ul>{rows}</ul>{more}"


def _overview(package: _Package, pages: list[tuple[str, str, str]]) -> str:
    listed = "".join(f'<li><a href="{path}">{html.escape(title)}</a></li>' for path, title, _ in pages)
    licences = "".join(
        f'<li><a href="{package.path}licence-{number}.html">Licence</a></li>' for number in range(len(package.licences))
    )
    dead = f'<p>See also the <a href="{package.path}changes-archive.html">archive of changes</a>.</p>'
    heading = f"<h1>{html.escape(package.name)}</h1><p>{html.escape(package.summary)}</p>{package.read_me}"
    return f"{heading}<h2>Modules</h2><ul>{listed}</ul><ul>{licences}</ul>{dead}"


def _extras(packages: list[_Package]) -> dict[str, Resource]:
    licences = "".join(
        f'<li><a href="/licences/{p.name.lower()}-{number}.html">{html.escape(p.name)}</a></li>'
        for p in packages
        for number in range(len(p.licences))
    )
    names = ",".join(f'"{p.name}"' for p in packages)
    return {
        "/licences/": Resource(_page("Licences", f"<h1>Licences</h1><ul>{licences}</ul>", "/licences/", packages, "")),
        "/latest/": Resource(b"", status=302, location="/"),
        "/packages.json": Resource(f"[{names}]".encode(), content_type="application/json"),
        "/site.css": Resource(
            b"body { font-family: sans-serif; max-width: 60em; margin: auto }\n", content_type="text/css"
        ),
        "/private/": Resource(
            _page(
                "Internal notes",
                "<h1>Internal notes</h1><p>robots.txt closes this page.</p>",
                "/private/",
                packages,
                "",
            )
        ),
        "/robots.txt": Resource(b"User-agent: *\nDisallow: /private/\n", content_type="text/plain"),
    }


def _plain_html(text: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "".join(f"<p>{html.escape(paragraph, quote=False)}</p>" for paragraph in paragraphs if paragraph)


def _page(title: str, main: str, path: str, packages: list[_Package], sidebar: str) -> bytes:
    """A whole page, with everything around the content that a site repeats."""
    menu = "".join(f'<a href="{p.path}">{html.escape(p.name)}</a> ' for p in packages[:12])
    crumbs = " / ".join(html.escape(part) for part in path.strip("/").split("/") if part)
    search, helpful = '<input name="q" placeholder="Search the documentation">', "Was this page helpful? Yes No"
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{html.escape(title)} | {_TITLE}</title><link rel="stylesheet" href="/site.css">
<meta name="viewport" content="width=device-width"><script>window.dataLayer = window.dataLayer || [];</script></head>
<body>
<header><a href="/" class="logo">{_TITLE}</a><form action="/search">{search}</form>
<nav class="top">{menu}<a href="/licences/">Licences</a> <a href="/latest/">Latest version</a></nav></header>
<div class="breadcrumbs">You are here: Home / {crumbs}</div>
<div class="columns"><aside class="sidebar"><h4>On this site</h4><ul>{sidebar}</ul><p>{helpful}</p></aside>
<main role="main"><article>{main}</article></main></div>
<footer><p>Made from the sources of the installed packages; each keeps its own licence.</p>
<p>We use cookies to improve your experience. Accept all. Privacy policy. Terms of use. Back to top.</p></footer>
</body></html>
""".encode()
