"""Pages with known main content, and the measure of an extraction against it: token F1."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spark_jobs.kernels.archives.warc import read_records
from spark_jobs.kernels.gates.urls import host_of, registered_domain
from spark_jobs.kernels.pages.html import decode_html
from spark_jobs.kernels.pages.page_gate import offer
from spark_jobs.stages.read.read_warc import Config

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WEB_PAGES, ARTICLES = "web-pages", "article-extraction-benchmark"
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class GoldPage:
    """One page: its set, its type ("article" throughout in the second set), its characters and the main content that
    it should give."""

    gold_set: str
    page_type: str
    url: str
    page: str
    content: str
    title: str | None = None
    author: str | None = None
    date: str | None = None

    @property
    def domain(self) -> str:
        """Registered domain: pages of one domain share a layout, so they belong to one fold of a cross-validation."""
        host = host_of(self.url)
        return (registered_domain(host) if host else None) or self.url


def gold_pages(data: Path = SHARED_DATA) -> list[GoldPage]:
    """Both sets; the first is read from its WARC files with the project's own reader, gate and decoder."""
    return [*_web_pages(data), *_article_pages(data)]


def token_f1(text: str, gold: str) -> float:
    """F1 of the bags of lower-cased word tokens; 1 where both are empty, 0 where one is."""
    found, wanted = Counter(tokens(text)), Counter(tokens(gold))
    total = found.total() + wanted.total()
    return 2 * (found & wanted).total() / total if total else 1.0


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def _web_pages(data: Path) -> Iterator[GoldPage]:
    with gzip.open(data / "gold" / "web-pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        gold = {record["url"]: record for record in map(json.loads, lines)}
    limit = Config().max_body_bytes
    for warc in sorted((data / "warc").glob("web-pages-*.warc.gz")):
        with warc.open("rb") as file:
            for record in read_records(file, limit):
                offered, fact = offer(record, limit), gold.get(record.url or "")
                if offered.body is not None and fact is not None:
                    page, _ = decode_html(offered.body, offered.charset)
                    facts = (fact["title"], fact["author"], fact["publish_date"])
                    yield GoldPage(WEB_PAGES, fact["page_type"], fact["url"], page, fact["main_content"], *facts)


def _article_pages(data: Path) -> Iterator[GoldPage]:
    folder = data / "gold" / "article-extraction-benchmark"
    for key, fact in sorted(json.loads((folder / "ground-truth.json").read_text(encoding="utf-8")).items()):
        page, _ = decode_html(gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes()), None)
        yield GoldPage(ARTICLES, "article", fact["url"], page, fact["articleBody"])
