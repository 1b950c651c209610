"""What the gates before and around extraction cost a page, beside the fastest extractor: `python bench/gates.py
[WARC]`.

Every gate is given lists of the size that real ones have, of random entries, so that hardly a page matches. One
process, one core.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import string
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from spark_jobs.kernels.archives.warc import read_records
from spark_jobs.kernels.gates.safety_gate import Config as SafetyConfig
from spark_jobs.kernels.gates.safety_gate import SafetyGate
from spark_jobs.kernels.gates.url_gate import Config as UrlConfig
from spark_jobs.kernels.gates.url_gate import UrlGate
from spark_jobs.kernels.pages.html import decode_html
from spark_jobs.kernels.pages.main_content import load_extractor
from spark_jobs.kernels.pages.page_gate import Offer, offer
from spark_jobs.kernels.pages.rights import page_rights

REAL_PAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "warc" / "web-pages-00.warc.gz"
DOMAINS, DIGESTS, KEYWORDS = 1_000_000, 1_000_000, 5_000
MAX_BODY_BYTES = 16 << 20


def random_words(count: int, seed: int) -> list[str]:
    letters = random.Random(seed)
    return ["".join(letters.choices(string.ascii_lowercase, k=letters.randint(6, 14))) for _ in range(count)]


def written(folder: str, name: str, entries: Iterable[str]) -> Path:
    path = Path(folder) / name
    path.write_text("\n".join(entries), encoding="utf-8")
    return path


def gates(folder: str) -> tuple[UrlGate, SafetyGate, SafetyGate]:
    """A URL gate with every kind of list, a safety gate with digests, and one with keywords."""
    domains = written(folder, "domains", (f"{word}.example" for word in random_words(DOMAINS, 1)))
    words = written(folder, "words", random_words(KEYWORDS, 2))
    digests = written(folder, "digests", (hashlib.sha256(str(i).encode()).hexdigest() for i in range(DIGESTS)))
    urls = UrlGate(UrlConfig(lists=(domains,), banned_words=(words,), banned_subwords=(words,), soft_words=(words,)))
    return urls, SafetyGate(SafetyConfig(sha256_lists=(digests,))), SafetyGate(SafetyConfig(keyword_lists=(words,)))


def milliseconds(work: Callable[[], object], pages: int) -> float:
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started) / pages


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("warc", type=Path, nargs="?", default=REAL_PAGES)
    pages: list[tuple[str, Offer, bytes]] = []
    with arguments.parse_args().warc.open("rb") as file:
        for record in read_records(file, MAX_BODY_BYTES):
            offered = offer(record, MAX_BODY_BYTES)
            if offered.body is not None and record.url:
                pages.append((record.url, offered, offered.body))
    with tempfile.TemporaryDirectory() as folder:
        urls, digests, keywords = gates(folder)
    extract, texts = load_extractor("resiliparse"), []

    def extract_all() -> None:
        texts.extend(extract(decode_html(body, offered.charset)[0]) or "" for _, offered, body in pages)

    rows = [
        ("decode and extract (resiliparse)", milliseconds(extract_all, len(pages))),
        (
            f"URL gate, {DOMAINS:,} domains",
            milliseconds(lambda: [urls.refusal(url) for url, _, _ in pages], len(pages)),
        ),
        ("rights", milliseconds(lambda: [page_rights(body, offered.fields) for _, offered, body in pages], len(pages))),
        (
            f"digests, {DIGESTS:,} of SHA-256",
            milliseconds(lambda: [digests.payload_matches(body, "text/html") for _, _, body in pages], len(pages)),
        ),
        (
            f"keywords, {KEYWORDS:,}",
            milliseconds(
                lambda: [keywords.keyword_matches(url, [text]) for (url, _, _), text in zip(pages, texts, strict=True)],
                len(pages),
            ),
        ),
    ]
    size = sum(len(body) for _, _, body in pages) / len(pages)
    print(
        f"{len(pages):,} pages of {size / 1024:,.0f} KiB and {sum(map(len, texts)) / len(pages):,.0f} characters of "
        f"text"
    )
    for name, cost in rows:
        print(f"{name:<34} {cost:8.3f} ms a page")


if __name__ == "__main__":
    main()
