"""Which pages are refused for their URL alone, before their body is looked at.

The questions are those of RefinedWeb (Penedo et al. 2023, section 3.1 and appendix G.1) and DCLM (Li et al. 2024,
section 4.1): is the host, or a domain above it, on a list; is the URL; does the URL hold a banned word, a part of
one, or several words that are suspect together. All lists come by path.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import ahocorasick
from pydantic import Field, model_validator

from schemas.plumbing import configuration
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import Versions, file_versions
from spark_jobs.kernels.gates.entry_lists import list_digests, read_entries
from spark_jobs.kernels.gates.hashed_keys import HashedKeys
from spark_jobs.kernels.gates.url_keys import bare_url

MAX_URL_CHARACTERS = 4096
"""Characters of a URL that are looked at; browsers and sitemaps stop at half of it."""
_WWW = re.compile(r"^www\d{0,2}\.(?=[^./]+\.)")
# Most entries of most lists, which have millions.
_PLAIN_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_WORD = re.compile(r"[^\W_]+")
_MAX_PATH_PARTS = 16


class Config(configuration.Config):
    """Lists of URLs that are refused; without any, none is. Workers need the files at the same paths."""

    category_folder: Path | None = None
    """Folder in the UT1 layout: `CATEGORY/domains` and `CATEGORY/urls`, one entry a line."""
    categories: tuple[str, ...] = ()
    """Categories of that folder that are refused; none named means all."""
    lists: tuple[Path, ...] = ()
    """Lists of domains and URLs, one entry a line. A domain stands for all hosts under it, a URL for all paths under
    it."""
    reputation: Path | None = None
    """Table `domain,score` (comma or tab) of known domains."""
    min_reputation: float | None = None
    """Domains of that table with a lower score are refused; those that it does not name are not."""
    banned_words: tuple[Path, ...] = ()
    """Lists of words; a URL that holds one as a whole word is refused."""
    banned_subwords: tuple[Path, ...] = ()
    """Lists of strings; a URL whose letters and digits, all other characters left out, hold one anywhere is refused."""
    soft_words: tuple[Path, ...] = ()
    """Lists of words that are suspect together."""
    min_soft_words: int = Field(default=2, ge=1)
    """A URL with this many different ones of them is refused."""

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Config:
        if (self.reputation is None) != (self.min_reputation is None):
            raise ValueError("reputation and min_reputation need each other")
        if self.categories and self.category_folder is None:
            raise ValueError("categories need a category_folder")
        return self

    def files(self) -> tuple[Path, ...]:
        """Every file that is read, in the order in which they count; `UsageError` for a missing folder or category."""
        categories = [file for _, file in _category_files(self)]
        reputation = [self.reputation] if self.reputation is not None else []
        return (*categories, *self.lists, *reputation, *self.banned_words, *self.banned_subwords, *self.soft_words)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a URL is refused: `url.category`, `url.list`, `url.reputation`, `url.word`, `url.subword` or
    `url.soft_words`, and what named it."""

    reason: str
    detail: str


class UrlGate:
    """The lists of a configuration in memory; a domain takes 12 bytes."""

    def __init__(self, config: Config) -> None:
        sources = [
            (Refusal("url.category", f"category {category}"), file) for category, file in _category_files(config)
        ]
        sources += [(Refusal("url.list", f"list {path.name}"), path) for path in config.lists]
        self._refusals = [refusal for refusal, _ in sources]
        self._domains = HashedKeys(_numbered(sources, urls=False))
        self._urls = HashedKeys(_numbered(sources, urls=True))
        self._reputation = HashedKeys(_scores(config.reputation) if config.reputation is not None else ())
        self._min_reputation = config.min_reputation or 0.0
        self._banned_words = frozenset(_words(config.banned_words))
        self._soft_words = frozenset(_words(config.soft_words))
        self._min_soft_words = config.min_soft_words
        self._subwords = ahocorasick.Automaton(ahocorasick.STORE_LENGTH)
        for word in _words(config.banned_subwords):
            self._subwords.add_word(word)
        self._subwords.make_automaton()
        self._looks_at_words = bool(self._banned_words or self._soft_words or len(self._subwords))

    def refusal(self, url: str) -> Refusal | None:
        """Why the URL is refused, by the first list that names it; None where none does. A few microseconds, however
        long the lists are."""
        url = url[:MAX_URL_CHARACTERS]
        bare = bare_url(url)
        return self._by_place(bare) or (self._by_words(unquote(url).lower()) if self._looks_at_words else None)

    def _by_place(self, bare: str) -> Refusal | None:
        domains = host_and_parents(bare.partition("/")[0].partition("?")[0])
        if found := self._domains.first(domains):
            return self._refusals[int(found[1])]
        if len(self._urls) and (found := self._urls.first(path_prefixes(bare))):
            return self._refusals[int(found[1])]
        if (found := self._reputation.first(domains)) and found[1] < self._min_reputation:
            return Refusal("url.reputation", f"{found[0]} has {found[1]:.4g}")
        return None

    def _by_words(self, url: str) -> Refusal | None:
        words = _WORD.findall(url)
        if banned := self._banned_words.intersection(words):
            return Refusal("url.word", f"word {min(banned)}")
        if len(suspect := self._soft_words.intersection(words)) >= self._min_soft_words:
            return Refusal("url.soft_words", f"words {', '.join(sorted(suspect))}")
        joined = "".join(words)
        if len(self._subwords) and (hit := next(self._subwords.iter(joined), None)):
            return Refusal("url.subword", f"sub-word {joined[hit[0] + 1 - hit[1] : hit[0] + 1]}")
        return None


def host_and_parents(host: str) -> list[str]:
    """`a.b.example.com`, `b.example.com`, `example.com`, `com`: the names under which a list may refuse a host."""
    labels = host.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))] if host else []


def path_prefixes(bare: str) -> list[str]:
    """The URL itself, without its query, and the paths above it, the first 16 of them; none has a leading `www.`."""
    bare = _WWW.sub("", bare, count=1)
    path = bare.partition("?")[0].rstrip("/")
    parts = path.split("/")
    return [bare, path, *("/".join(parts[:i]) for i in range(min(len(parts) - 1, _MAX_PATH_PARTS), 1, -1))]


def load_url_gate(config: Config) -> UrlGate | None:
    """The gate of a configuration, its lists read once in the life of a worker and again when they change; None
    where it has none."""
    files = config.files()
    return _read_gate(config, file_versions(files)) if files else None


@lru_cache(maxsize=2)
def _read_gate(config: Config, versions: Versions) -> UrlGate:
    """`versions` are those of the lists. Two: the gate before extraction, and the lists of those who opted out."""
    return UrlGate(config)


def url_lists(config: Config) -> dict[str, str]:
    """Path of each list to its SHA-256; `UsageError` in one line for one that is missing or empty."""
    return list_digests(config.files())


def _category_files(config: Config) -> list[tuple[str, Path]]:
    """Category and file, categories in the configured order or by name."""
    folder = config.category_folder
    if folder is None:
        return []
    known = sorted({file.parent.name for kind in ("domains", "urls") for file in folder.glob(f"*/{kind}")})
    if not known:
        raise UsageError(
            f"{folder}: no lists of categories are there: none of its folders holds a file `domains` or `urls`"
        )
    if missing := [category for category in config.categories if category not in known]:
        raise UsageError(f"{folder}: there is no category {', '.join(missing)}; there are {', '.join(known)}")
    files = [
        (category, folder / category / kind) for category in config.categories or known for kind in ("domains", "urls")
    ]
    return [(category, file) for category, file in files if file.is_file() and file.stat().st_size]


def _numbered(sources: list[tuple[Refusal, Path]], urls: bool) -> Iterator[tuple[str, int]]:
    """The bare entries of one kind, with the number of their source."""
    for number, (refusal, path) in enumerate(sources):
        if urls and refusal.reason == "url.category" and path.name == "domains":
            continue
        for entry in read_entries(path):
            bare = entry if _PLAIN_HOST.fullmatch(entry) else bare_url(entry)
            if bare and ("/" in bare or "?" in bare) == urls:
                yield _WWW.sub("", bare) if urls else bare, number


def _scores(path: Path) -> Iterator[tuple[str, float]]:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    for number, row in enumerate(csv.reader(read_entries(path), delimiter=delimiter)):
        try:
            yield bare_url(row[0]), float(row[1])
        except (IndexError, ValueError):
            # The first line may name the columns.
            if number > 0:
                raise UsageError(f"{path}: row {number + 1} is not a domain and a score") from None


def _words(paths: Iterable[Path]) -> Iterator[str]:
    return (word for path in paths for entry in read_entries(path) if (word := "".join(_WORD.findall(entry.lower()))))
