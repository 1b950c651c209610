"""Small random lakes, and the rule as one plain loop over them: the oracle of the stages and of what-if."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from spark_jobs.kernels.gates.url_keys import same_page_key
from spark_jobs.stages.deduplicate.settings import Settings


@dataclass(frozen=True)
class Document:
    doc_id: str
    crawl: str
    ordinal: int
    text: str
    """Its hash; documents of equal texts have equal shingles and buckets."""
    url: str | None
    quality: float | None
    eligible: bool


@dataclass(frozen=True)
class SmallLake:
    documents: tuple[Document, ...]
    shingles: Mapping[str, frozenset[int]]
    buckets: Mapping[str, frozenset[tuple[int, int]]]
    """(band, band_key) by text; a text that is too short for shingles has neither."""


def random_lake(draw: random.Random, documents: int, crawls: int = 3) -> SmallLake:
    """Families of texts that share most of their shingles; half of the documents carry a text that another has."""
    shingles: dict[str, frozenset[int]] = {}
    buckets: dict[str, frozenset[tuple[int, int]]] = {}
    for number in range(max(2, documents // 2)):
        family = draw.randrange(max(1, documents // 6))
        common = set(range(100 * family, 100 * family + 20))
        text = f"{draw.getrandbits(256):064x}"
        if draw.random() < 0.1:
            continue
        left_out = draw.sample(sorted(common), draw.choice((0, 1, 2, 4, 8)))
        own = {10_000 + 100 * number + extra for extra in range(draw.choice((0, 0, 1, 3)))}
        shingles[text] = frozenset(common - set(left_out) | own)
        met = {(0, family)} if draw.random() < 0.8 else set()
        met |= {(1, draw.randrange(max(1, documents // 8)))}
        buckets[text] = frozenset(met)
    texts = [*shingles, f"{draw.getrandbits(256):064x}"]
    return SmallLake(
        tuple(
            Document(
                doc_id=f"{draw.getrandbits(64):016x}",
                crawl=f"crawl-{chr(122 - number)}",
                ordinal=number,
                text=draw.choice(texts),
                url=draw.choice((None, f"http://a.example/{draw.randrange(max(1, documents // 3))}")),
                quality=draw.choice((None, 1.0, 2.0, 3.0)),
                eligible=draw.random() < 0.7,
            )
            for number in (draw.randrange(crawls) for _ in range(documents))
        ),
        shingles,
        buckets,
    )


def priority(document: Document) -> tuple[int, bool, float, str]:
    return document.ordinal, document.quality is None, -(document.quality or 0.0), document.doc_id


def jaccard(one: frozenset[int], two: frozenset[int]) -> float:
    return len(one & two) / len(one | two)


def greedy(lake: SmallLake, settings: Settings) -> dict[tuple[str, str], tuple[str, float | None]]:
    """(doc_id, kind) to (representative, similarity): filter, then go through the documents by priority, and remove
    what is alike to a kept one."""
    eligible = sorted((document for document in lake.documents if document.eligible), key=priority)
    compared = compared_texts(lake, eligible, settings)
    kept: list[Document] = []
    removed: dict[tuple[str, str], tuple[str, float | None]] = {}
    for document in eligible:
        likenesses: dict[str, tuple[str, float | None]] = {}
        for one in kept:
            if settings.scope == "crawl" and one.crawl != document.crawl:
                continue
            if settings.exact and one.text == document.text:
                likenesses.setdefault("exact", (one.doc_id, 1.0))
            if settings.near and frozenset((one.text, document.text)) in compared:
                similarity = jaccard(lake.shingles[one.text], lake.shingles[document.text])
                if similarity >= settings.threshold:
                    likenesses.setdefault("near", (one.doc_id, similarity))
            pages = [url and same_page_key(url) for url in (one.url, document.url)]
            if settings.url and pages[0] is not None and pages[0] == pages[1]:
                likenesses.setdefault("url", (one.doc_id, None))
        if likenesses:
            removed |= {(document.doc_id, kind): evidence for kind, evidence in likenesses.items()}
        else:
            kept.append(document)
    return removed


def compared_texts(lake: SmallLake, eligible: list[Document], settings: Settings) -> set[frozenset[str]]:
    """Pairs of texts that the rule compares: in each bucket every one with the first few."""
    members: dict[object, list[str]] = {}
    for document in eligible:
        crawl = document.crawl if settings.scope == "crawl" else None
        for bucket in lake.buckets.get(document.text, ()):
            texts = members.setdefault((bucket, crawl), [])
            if document.text not in texts:
                texts.append(document.text)
    return {
        frozenset((first, text))
        for texts in members.values()
        for rank, first in enumerate(texts[: settings.bucket_representatives])
        for text in texts[rank + 1 :]
    }


def documents_table(lake: SmallLake) -> pa.Table:
    """The columns that the decision in memory takes."""
    names = ("doc_id", "crawl", "ordinal", "url", "quality")
    columns = {name: [getattr(document, name) for document in lake.documents] for name in names}
    types = (pa.string(), pa.string(), pa.int32(), pa.string(), pa.float64())
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in zip(names, types, strict=True)})
    return table.append_column("text_hash", pa.array([document.text for document in lake.documents], pa.string()))


def bands_table(lake: SmallLake) -> pa.Table:
    rows = [
        (band, key, document.doc_id)
        for document in lake.documents
        for band, key in sorted(lake.buckets.get(document.text, ()))
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    types = {"band": pa.int32(), "band_key": pa.int64(), "doc_id": pa.string()}
    return pa.table({name: pa.array(c, kind) for (name, kind), c in zip(types.items(), columns, strict=True)})


def shingle_arrays(lake: SmallLake, doc_ids: set[str]) -> dict[str, np.ndarray]:
    return {
        document.doc_id: np.array(sorted(lake.shingles[document.text]), np.int32)
        for document in lake.documents
        if document.doc_id in doc_ids
    }
