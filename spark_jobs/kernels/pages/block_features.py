"""What is measured of each block of a page before a model tells how likely it is main content.

The families follow the literature on boilerplate removal: shallow text features and their neighbours (Kohlschuetter
et al. 2010, WSDM), the path of elements and the words in `class` and `id` (Vogels et al. 2018, Web2Text), and how
often a page's template repeats the block's place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.pages.character_counts import character_counts
from spark_jobs.kernels.pages.page_blocks import ELEMENT_GROUPS, GROUPS, PageBlocks, tag_bits
from spark_jobs.kernels.pages.page_metadata import PageMetadata
from spark_jobs.kernels.pages.page_type import PAGE_TYPES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.generic] | float]
"""A number a block under each name, or one for all."""

ANCESTORS = 4
"""Levels of containers whose text is summed up as features of a block."""
REGION_SHARES = (0.1, 0.3, 0.6)
"""Shares of the page's text; the smallest element around a block that has so much is a region."""
NEIGHBOURS = (-2, -1, 1, 2)
WINDOWS = (3, 8, 25)
_TAGS = "p div li h1 h2 h3 h4 td th pre blockquote dt dd article section body figcaption button label main"
TAGS = tuple(_TAGS.split())
_TAG_NUMBERS = {tag: place for place, tag in enumerate(TAGS)}
_HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}
_PATH_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_WORD = re.compile(r"\w+")
_END = ".!?:;\"'\u201d\u2019\u2026\u3002\uff01\uff1f)"


def block_features(blocks: PageBlocks, metadata: PageMetadata, types: Sequence[float]) -> npt.NDArray[np.float32]:
    """Array of (blocks, features) for a page with blocks, `types` its probabilities by type; the order is that of
    `feature_names()`."""
    columns = _columns(blocks, metadata, types)
    # Column by column in memory, as the trees read them.
    features = np.empty((len(columns), len(blocks.texts)), dtype=np.float32)
    for row, column in zip(features, columns.values(), strict=True):
        row[:] = column
    return features.T


def feature_names() -> list[str]:
    one = PageBlocks(
        texts=["a"], linked=[0], links=[0], inside=[0], parents=[0], ends=[1], tags=["p"], names=[0], shapes=["p"]
    )
    return list(_columns(one, PageMetadata(), [0.0] * (len(PAGE_TYPES) - 1)))


def _columns(blocks: PageBlocks, metadata: PageMetadata, types: Sequence[float]) -> Columns:
    texts = blocks.texts
    count = len(texts)
    counted = character_counts(texts, frozenset(_WORD.findall((metadata.title or "").lower())))
    words, stops = counted.words, counted.stops
    chars = np.array(list(map(len, texts)), dtype=np.float64)
    linked = np.minimum(np.array(blocks.linked) / chars, 1.0)
    own: Columns = {
        "words": np.log1p(words),
        "chars": np.log1p(chars),
        "word_length": chars / (words + 1),
        "linked": linked,
        "links": np.array(blocks.links),
        "stops": stops,
        "stops_per_word": stops / (words + 1),
        "ends_sentence": np.array([text[-1] in _END for text in texts]),
        "capital": np.array([text[0].isupper() for text in texts]),
        "starts_digit": np.array([text[0].isdigit() for text in texts]),
        "upper": np.array(list(map(str.isupper, texts))),
        "titled_words": counted.capitals / (words + 1),
        "digits": counted.numbers / (words + 1),
        "breaks": counted.breaks,
        "money": counted.money > 0,
        "copyright": counted.copyrights > 0,
        "in_title": counted.wanted / (words + 1),
        "in_body": _said(texts, metadata.body),
        "in_description": _said(texts, metadata.description),
        "repeats": _log_counts(_group(list(map(str.lower, texts)))),
    }
    return (
        own
        | _place(blocks, words, linked, stops)
        | _context(words, linked, stops)
        | _page(blocks, words, linked, types, count)
    )


def _place(blocks: PageBlocks, words: Ints, linked: Floats, stops: Ints) -> Columns:
    """Features of the elements around a block."""
    inside, parent, ends = np.array(blocks.inside), np.array(blocks.parents), np.array(blocks.ends)
    own_names, elements = np.array(blocks.names), len(blocks.tags)
    tags = list(dict.fromkeys(blocks.tags))
    tag_of_element = _group(blocks.tags)
    shapes = _group(blocks.shapes)
    long_words = np.where((words > 12) & (linked < 0.5), words, 0)
    sums = [
        element_sums(inside, ends, value) for value in (words, words * linked, stops, long_words, np.ones(len(words)))
    ]
    element_words, linked_words, element_stops, element_long, element_blocks = sums
    total = max(float(words.sum()), 1.0)
    names, tag_masks, paths = (
        own_names.copy(),
        np.array([tag_bits(tag) for tag in tags])[tag_of_element],
        np.zeros(elements, dtype=np.uint64),
    )
    steps = shapes.astype(np.uint64) + np.uint64(1)
    for level in element_levels(ends):
        above = parent[level]
        names[level] |= names[above]
        tag_masks[level] |= tag_masks[above]
        # A number for the shapes on the way from the root; two ways share one by chance less than once in 2^40 pages.
        paths[level] = (paths[above] + steps[level]) * _PATH_FACTOR
    near_names = own_names | own_names[parent]
    deep = element_depths(ends)
    depth = deep[inside]
    found: Columns = {"depth": depth}
    tag_numbers = np.array([_TAG_NUMBERS.get(tag, -1) for tag in tags])[tag_of_element[inside]]
    found |= _named("tag", TAGS, tag_numbers == np.arange(len(TAGS))[:, None])
    found |= _named("in", ELEMENT_GROUPS, _bit_rows(tag_masks[inside], len(ELEMENT_GROUPS)))
    found |= _named("name", GROUPS, _bit_rows(names[inside], len(GROUPS)))
    found |= _named("near", GROUPS, _bit_rows(near_names[inside], len(GROUPS)))
    share, linked_share = element_words / total, linked_words / (element_words + 1)
    for name, anchor in _anchors(blocks, inside, parent, long_words, element_words).items():
        way = [anchor]
        while way[-1]:
            way.append(blocks.parents[way[-1]])
        # The element in which the paths to the block and to the anchor part.
        at = _innermost(blocks, way[::-1])[inside]
        found[f"{name}_share"] = share[at]
        found[f"{name}_linked"] = linked_share[at]
        found[f"{name}_up"] = depth - deep[at]
        found[f"{name}_down"] = deep[anchor] - deep[at]
    found["articles_before"] = np.cumsum(np.array([tag == "article" for tag in tags])[tag_of_element])[inside]
    of_elements = {
        "share": share,
        "words": np.log1p(element_words),
        "linked": linked_share,
        "stops": element_stops / (element_words + 1),
        "long": element_long / (element_words + 1),
        "mean": element_words / (element_blocks + 1),
    }
    table = np.stack(list(of_elements.values()))
    around = inside
    for step in range(ANCESTORS):
        found |= _named(f"up{step}", of_elements, table[:, around])
        around = parent[around]
    for least in REGION_SHARES:
        at = _innermost(blocks, np.flatnonzero(element_words >= least * total).tolist())[inside]
        found |= _named(f"region{least}", of_elements, table[:, at])
        found[f"region{least}_rank"] = at / elements
    for name, group in (("path", np.unique(paths[inside], return_inverse=True)[1]), ("shape", shapes[inside])):
        size, group_words = np.bincount(group), np.bincount(group, words)
        found[f"{name}_count"] = np.log1p(size)[group]
        found[f"{name}_words"] = (group_words / np.maximum(size, 1))[group]
        found[f"{name}_share"] = (group_words / total)[group]
        found[f"{name}_linked"] = (np.bincount(group, linked) / np.maximum(size, 1))[group]
    return found


def _named(prefix: str, names: Iterable[str], rows: npt.NDArray[np.generic]) -> Columns:
    return {f"{prefix}_{name}": row for name, row in zip(names, rows, strict=True)}


def _bit_rows(bits: Ints, count: int) -> Ints:
    """(count, len(bits)): whether each of the lowest bits is set."""
    return bits >> np.arange(count)[:, None] & 1


def _anchors(blocks: PageBlocks, inside: Ints, parent: Ints, running: Ints, element_words: Floats) -> dict[str, int]:
    """Two elements that are likely in or near the main content: the container of most running text, and the first
    main heading.

    As in Readability (Arc90, 2009), a paragraph counts for its parent, and half for its grandparent.
    """
    leaf = np.array([blocks.tags[element] in ("p", "pre", "blockquote", "li") for element in blocks.inside])
    container = np.where(leaf, parent[inside], inside)
    score = np.bincount(container, running, len(parent)) + np.bincount(parent[container], running / 2, len(parent))
    heading = next(
        (element for element, tag in enumerate(blocks.tags) if tag == "h1" and element_words[element] > 0), 0
    )
    return {"running": int(np.argmax(score)), "heading": heading}


def _context(words: Ints, linked: Floats, stops: Ints) -> Columns:
    """Features of the blocks before and after a block."""
    count = len(words)
    found: Columns = {}
    places = np.arange(count)
    # A row of -1 on both sides stands for the blocks that are not there.
    edge = max(NEIGHBOURS)
    own = np.pad(np.stack([np.log1p(words), linked, stops / (words + 1)]), ((0, 0), (edge, edge)), constant_values=-1.0)
    for shift in NEIGHBOURS:
        found |= {
            f"{name}{shift:+}": row
            for name, row in zip(("words", "linked", "stops"), own[:, edge + shift : edge + shift + count], strict=True)
        }
    running = np.zeros((3, count + 1))
    np.cumsum(np.stack([words, words * linked, stops]), axis=1, out=running[:, 1:])
    for width in WINDOWS:
        around, around_linked, around_stops = (
            running[:, np.minimum(places + width + 1, count)] - running[:, np.maximum(places - width, 0)]
        )
        found[f"window{width}_words"] = np.log1p(around)
        found[f"window{width}_linked"] = around_linked / (around + 1)
        found[f"window{width}_stops"] = around_stops / (around + 1)
    return found


def _page(blocks: PageBlocks, words: Ints, linked: Floats, types: Sequence[float], count: int) -> Columns:
    """Features of the page as a whole, and of the block's position on it."""
    total = max(float(words.sum()), 1.0)
    before = np.cumsum(words) - words
    tags = [blocks.tags[element] for element in blocks.inside]
    at = np.arange(count)
    heading_levels = np.array([_HEADING_LEVELS.get(tag, 0) for tag in tags])
    last = np.maximum.accumulate(np.where(heading_levels > 0, at, -1))
    first_heading = tags.index("h1") if "h1" in tags else -1
    paragraphs = np.array([tag == "p" for tag in tags])
    largest = int(np.argmax(np.where(linked < 0.5, words, 0)))
    found: Columns = {
        "page_words": np.log1p(total),
        "page_blocks": np.log1p(count),
        "page_linked": float((words * linked).sum()) / total,
        "page_paragraphs": float(words[paragraphs].sum()) / total,
        "page_long": float(words[(words > 12) & (linked < 0.5)].sum()) / total,
        "page_articles": blocks.tags.count("article"),
        "page_mains": blocks.tags.count("main"),
        "page_headings": sum(tag[0] == "h" for tag in tags) / count,
        "page_items": tags.count("li") / count,
    }
    found |= {f"page_is_{name}": value for name, value in zip(PAGE_TYPES, types, strict=False)}
    return found | {
        "position": at / count,
        "words_before": before / total,
        "words_before_log": np.log1p(before),
        "from_start": np.log1p(at),
        "from_end": np.log1p(count - at),
        "from_h1": np.clip(at - first_heading, -50, 200) if first_heading >= 0 else -60,
        "from_largest": np.clip(at - largest, -100, 100),
        "since_heading": at - last,
        "heading_level": np.where(last >= 0, heading_levels[last], 0),
    }


def element_sums(inside: Ints, ends: Ints, values: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """(elements,): the sum of `values` (blocks,) over the blocks inside each element; `inside` and `ends` as in
    PageBlocks."""
    running = np.zeros(len(ends) + 1)
    np.cumsum(np.bincount(inside, values.astype(np.float64), minlength=len(ends)), out=running[1:])
    sums: npt.NDArray[np.float64] = running[ends] - running[:-1]
    return sums


def element_depths(ends: Ints) -> Ints:
    """(elements,): the number of elements around each; of those before it, all that have not ended."""
    return np.arange(len(ends)) - np.cumsum(np.bincount(ends, minlength=len(ends) + 1))[: len(ends)]


def element_levels(ends: Ints) -> list[Ints]:
    """The elements below the root, those of one depth together, from the highest down: the way on which what is
    inherited goes."""
    depths = element_depths(ends)
    return np.split(np.argsort(depths, kind="stable"), np.cumsum(np.bincount(depths))[:-1])[1:]


def _innermost(blocks: PageBlocks, chosen: list[int]) -> Ints:
    """(elements,): of the `chosen` elements, in document order, the innermost around each element; 0 where there is
    none."""
    found = np.zeros(len(blocks.parents), dtype=np.int64)
    for element in chosen:
        found[element : blocks.ends[element]] = element
    return found


def _said(texts: list[str], said: str) -> Ints:
    """Whether the beginning of each text is part of what the page says elsewhere; -1 where it says nothing."""
    return np.array([text[:60] in said for text in texts]) if said else np.full(len(texts), -1)


def _group(keys: list[str]) -> Ints:
    """Number of the group of equal keys that each key is in."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys])


def _log_counts(group: Ints) -> Floats:
    return np.log1p(np.bincount(group)[group])
