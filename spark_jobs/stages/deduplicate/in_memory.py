"""The same decision as the stages of this folder make on Spark, in one process and without writing: what `corpus
what-if` foretells is what `corpus decide` does.

Candidate pairs, order and components are computed with numpy; the rule itself is the very function that the stage runs.
A test compares both on the same lakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.kernels.duplicates.greedy import Candidate, Removal, settle
from spark_jobs.kernels.duplicates.union_find import smallest_reachable
from spark_jobs.kernels.gates.url_keys import same_page_key
from spark_jobs.stages.deduplicate.settings import Settings

type Integers = npt.NDArray[np.int64]
type Pair = tuple[str, str]


@dataclass(frozen=True)
class Measured:
    """What the lake holds about likeness, beside its documents."""

    bands: pa.Table
    """Columns band, band_key and doc_id."""
    similarities: Mapping[Pair, float]
    """Of pairs of texts, the smaller hash first."""
    shingles: Callable[[set[str]], Mapping[str, npt.NDArray[np.int32]]]
    """The sets of documents by doc_id, for pairs that were never compared."""


@dataclass(frozen=True)
class Likeness:
    """What became of the eligible documents, by their place in the table of documents."""

    kinds: dict[int, list[str]]
    """In which ways each removed document repeats a kept one."""
    cluster_size: npt.NDArray[np.int64]
    """Eligible documents that are alike to each, directly or through others, itself included; 1 for all others."""
    compared: int
    """Pairs that no run has compared, and that were compared for this answer."""


def decide_duplicates(
    documents: pa.Table, eligible: npt.NDArray[np.bool_], measured: Measured, settings: Settings
) -> Likeness:
    """Decide among the eligible rows of `documents` (doc_id, crawl, ordinal, text_hash, url, and `quality`, the number
    whose highest value is the best)."""
    rows = priority_order(documents, np.flatnonzero(eligible))
    ordered = documents.take(pa.array(rows))
    within = ordered["crawl"].to_pylist() if settings.scope == "crawl" else [""] * len(rows)
    texts = _numbers(zip(within, ordered["text_hash"].to_pylist(), strict=True))
    pairs = candidate_pairs(ordered, texts, within, measured.bands, settings.bucket_representatives)
    similar, compared = similar_texts(pairs, ordered, within, measured, settings.threshold)
    cluster_size = np.ones(len(documents), np.int64)
    cluster_size[rows] = _component_sizes(texts, similar)
    kinds: dict[int, list[str]] = {}
    for removal in removals(ordered, texts, within, similar, settings):
        kinds.setdefault(int(rows[removal.position]), []).append(removal.kind)
    return Likeness(kinds, cluster_size, compared)


def priority_order(documents: pa.Table, rows: Integers) -> Integers:
    """The rows in order of priority: by ordinal, then the highest quality, those without one last, then doc_id."""
    quality = pc.cast(documents["quality"], pa.float64()).to_numpy(zero_copy_only=False)[rows]
    missing = np.isnan(quality)
    keys = pa.table(
        {
            "ordinal": documents["ordinal"].take(pa.array(rows)),
            "missing": pa.array(missing),
            "quality": pa.array(np.where(missing, 0.0, -quality)),
            "doc_id": documents["doc_id"].take(pa.array(rows)),
        }
    )
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    return rows[order.to_numpy()]


def candidate_pairs(
    ordered: pa.Table, texts: Integers, within: list[str], bands: pa.Table, representatives: int
) -> Integers:
    """Distinct pairs (n, 2) of positions: each text of a bucket with the first ones before it."""
    firsts = np.flatnonzero(texts == np.arange(len(texts)))
    found = pc.index_in(bands["doc_id"], value_set=ordered["doc_id"].take(pa.array(firsts)).combine_chunks())
    member = found.is_valid().to_numpy(zero_copy_only=False)
    position = firsts[pc.drop_null(found.combine_chunks()).to_numpy()]
    crawl = np.unique(np.array(within, object), return_inverse=True)[1][position] if len(within) else position
    band, key = (bands[name].to_numpy()[member] for name in ("band", "band_key"))
    order = np.lexsort([position, crawl, key, band])
    band, key, crawl, position = band[order], key[order], crawl[order], position[order]
    if not len(position):
        return np.zeros((0, 2), np.int64)
    begins = (band[1:] != band[:-1]) | (key[1:] != key[:-1]) | (crawl[1:] != crawl[:-1])
    bounds = [0, *(np.flatnonzero(begins) + 1), len(position)]
    pairs = []
    for start, end in pairwise(bounds):
        bucket = position[start:end]
        for rank in range(min(representatives, len(bucket) - 1)):
            later = bucket[rank + 1 :]
            pairs.append(np.stack([np.full(len(later), bucket[rank]), later], axis=1))
    return np.unique(np.concatenate(pairs), axis=0) if pairs else np.zeros((0, 2), np.int64)


def similar_texts(
    pairs: Integers, ordered: pa.Table, within: list[str], measured: Measured, threshold: float
) -> tuple[dict[int, list[tuple[int, float]]], int]:
    """For each text the similar ones with the similarity, by the positions of their first documents; and how many pairs
    had to be compared for it."""
    doc_ids, hashes = ordered["doc_id"].to_pylist(), ordered["text_hash"].to_pylist()
    firsts: dict[str, dict[str, int]] = {}
    for position, (crawl, text) in enumerate(zip(within, hashes, strict=True)):
        firsts.setdefault(text, {}).setdefault(crawl, position)
    # Texts, not documents, are alike: in each crawl that has both.
    asked = {_pair(hashes[one], hashes[two]) for one, two in pairs.tolist() if hashes[one] != hashes[two]}
    unknown = [pair for pair in asked if pair not in measured.similarities]
    holder = {text: doc_ids[min(places.values())] for text, places in firsts.items()}
    sets = measured.shingles({holder[text] for pair in unknown for text in pair}) if unknown else {}
    found = {pair: _jaccard(sets[holder[pair[0]]], sets[holder[pair[1]]]) for pair in unknown}
    similar: dict[int, list[tuple[int, float]]] = {}
    for pair in asked:
        similarity = found[pair] if pair in found else measured.similarities[pair]
        if similarity < threshold:
            continue
        for crawl, one in firsts[pair[0]].items():
            two = firsts[pair[1]].get(crawl)
            if two is not None:
                similar.setdefault(one, []).append((two, similarity))
                similar.setdefault(two, []).append((one, similarity))
    return similar, len(unknown)


def removals(
    ordered: pa.Table,
    texts: Integers,
    within: list[str],
    similar: Mapping[int, list[tuple[int, float]]],
    settings: Settings,
) -> Iterable[Removal]:
    pages: list[int | None] = [None] * len(texts)
    if settings.url:
        keys = [None if url is None else same_page_key(url) for url in ordered["url"].to_pylist()]
        numbers = _numbers(zip(within, keys, strict=True))
        pages = [None if key is None else int(number) for key, number in zip(keys, numbers, strict=True)]
    near = similar if settings.near else {}
    candidates = (
        Candidate(position, text, page, tuple(near.get(text, ())))
        for position, (text, page) in enumerate(zip(texts.tolist(), pages, strict=True))
    )
    return settle(candidates, exact=settings.exact)


def _pair(one: str, two: str) -> Pair:
    return (one, two) if one < two else (two, one)


def _numbers(keys: Iterable[object]) -> Integers:
    """Each key's first place among them."""
    first: dict[object, int] = {}
    return np.array([first.setdefault(key, place) for place, key in enumerate(keys)], np.int64)


def _component_sizes(texts: Integers, similar: Mapping[int, list[tuple[int, float]]]) -> Integers:
    """Of each document, how many are equal or similar to it, directly or through others, itself included."""
    edges = [(place, int(text)) for place, text in enumerate(texts) if place != text]
    edges += [(one, two) for one, others in similar.items() for two, _ in others]
    component = smallest_reachable(edges)
    roots = np.array([component.get(place, place) for place in range(len(texts))], np.int64)
    return np.bincount(roots, minlength=len(texts))[roots] if len(roots) else roots


def _jaccard(one: npt.NDArray[np.int32], two: npt.NDArray[np.int32]) -> float:
    common = len(np.intersect1d(one, two, assume_unique=True))
    return common / (len(one) + len(two) - common)
