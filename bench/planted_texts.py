"""Texts with planted repeats, for the benchmarks of deduplication: from ../shared/data/text where it is present,
else from random words."""

from __future__ import annotations

import gzip
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

REAL_TEXTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "text"
SEED = 1


def natural_documents() -> list[str]:
    """Web documents, speeches, encyclopedia articles and scenes of plays; random words where the folder is absent."""
    if not REAL_TEXTS.is_dir():
        draw = random.Random(SEED)
        vocabulary = [
            "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 10))) for _ in range(20_000)
        ]
        return [" ".join(draw.choices(vocabulary, k=800)) for _ in range(1500)]
    web = re.split(r"^# newdoc id.*$", _unpacked("english-web-treebank.txt.gz"), flags=re.MULTILINE)
    speeches = re.split(r"^### .*$", _unpacked("us-presidential-speeches.txt.gz"), flags=re.MULTILINE)
    articles = re.split(
        r"^ = [^=]+ = $", (REAL_TEXTS / "wikitext2-valid.txt").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    scenes = re.split(r"^SCENE .*$", (REAL_TEXTS / "shakespeare.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [text.strip() for text in (*web, *speeches, *articles, *scenes) if text.strip()]


def pages(words: int) -> list[str]:
    """The natural documents cut into pages of so many words, what is left over dropped."""
    split = [text.split() for text in natural_documents()]
    return [" ".join(page[start : start + words]) for page in split for start in range(0, len(page) - words + 1, words)]


def planted_documents(characters: int, seed: int) -> list[str]:
    """Documents of words as frequent as in the natural ones. A tenth of the text is natural sentences, of which each
    comes again and again, and a tenth planted passages of 20 to 200 words, each about five times, so that all sizes
    have the same share of repeats."""
    draw = random.Random(seed)
    natural = natural_documents()
    stream = words_as_frequent_as_in(natural, seed)
    sentences = [sentence.split() for text in natural for sentence in re.split(r"(?<=[.!?])\s", text)]
    # A planted passage has 110 words of about 5.5 characters on average.
    stock = [list(islice(stream, draw.randrange(20, 201))) for _ in range(characters // (50 * 600) + 1)]
    documents, size = [], 0
    while size < characters:
        body: list[str] = []
        for _ in range(draw.randrange(1, 8)):
            body += islice(stream, draw.randrange(100, 220))
            for _ in range(2):
                body += draw.choice(sentences)[:40] if draw.random() < 0.5 else []
            if draw.random() < 0.18:
                body += draw.choice(stock)
        documents.append(" ".join(body))
        size += len(documents[-1]) + 1
    return documents


def words_as_frequent_as_in(texts: list[str], seed: int) -> Iterator[str]:
    """Words of the texts drawn independently, without end."""
    counts = Counter(" ".join(texts).split())
    names, cumulated = np.array(list(counts), dtype=object), np.cumsum(list(counts.values()))
    generator = np.random.default_rng(seed)
    while True:
        yield from names[np.searchsorted(cumulated, generator.integers(0, cumulated[-1], 1 << 18), side="right")]


def _unpacked(name: str) -> str:
    return gzip.decompress((REAL_TEXTS / name).read_bytes()).decode()
