"""What is measured of each block of a page before a model tells how likely it is main content.

The families follow the literature on boilerplate removal: shallow text features and their neighbours (Kohlschuetter et al. 2010, WSDM), the
path of elements and the words in `class` and `id` (Vogels et al. 2018, Web2Text), and how often a page's template repeats the block's place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spark_jobs.text.pages.page_blocks import ELEMENT_GROUPS, GROUPS, PageBlocks, tag_bits
from spark_jobs.text.pages.page_metadata import PageMetadata
from spark_jobs.text.pages.page_type import PAGE_TYPES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ANCESTORS = 4
"""Levels of containers whose text is summed up as features of a block."""
REGION_SHARES = (0.1, 0.3, 0.6)
"""Shares of the page's text; the smallest element around a block that has so much is a region."""
NEIGHBOURS = (-2, -1, 1, 2)
WINDOWS = (3, 8, 25)
_TAGS = "p div li h1 h2 h3 h4 td th pre blockquote dt dd article section body figcaption button label main"
TAGS = tuple(_TAGS.split())

_WORD = re.compile(r"\w+")
_END = ".!?:;\"'\u201d\u2019\u2026\u3002\uff01\uff1f)"


def block_features(blocks: PageBlocks, metadata: PageMetadata, types: Sequence[float]) -> npt.NDArray[np.float32]:
    """Array of (blocks, features) for a page with blocks, `types` its probabilities by type; the order is that of `feature_names()`."""
    # Column by column in memory, as the trees read them.
    return np.stack(list(_columns(blocks, metadata, types).values()), dtype=np.float32, casting="unsafe").T


def feature_names() -> list[str]:
    one = PageBlocks(texts=["a"], linked=[0], links=[0], inside=[0], parents=[0], ends=[1], tags=["p"], names=[0], shapes=["p"])
    return list(_columns(one, PageMetadata(), [0.0] * (len(PAGE_TYPES) - 1)))


def _columns(blocks: PageBlocks, metadata: PageMetadata, types: Sequence[float]) -> dict[str, npt.NDArray[np.generic]]:
    texts = blocks.texts
    count = len(texts)
    title_words = set(_WORD.findall((metadata.title or "").lower()))
    split = [_WORD.findall(text) for text in texts]
    initials = [[word[0] for word in one] for one in split]
    words = np.array([len(one) for one in split], dtype=np.int64)
    chars = np.array([len(text) for text in texts], dtype=np.float64)
    linked = np.minimum(np.array(blocks.linked) / chars, 1.0)
    stops = np.array([sum(map(text.count, ".,;!?\u3002\u3001\uff0c")) for text in texts])
    own: dict[str, npt.NDArray[np.generic]] = {
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
        "upper": np.array([text.isupper() for text in texts]),
        "titled_words": np.array([sum(map(str.isupper, first)) / (len(first) + 1) for first in initials]),
        "digits": np.array([sum(map(str.isdigit, first)) / (len(first) + 1) for first in initials]),
        "breaks": np.array([text.count("\n") for text in texts]),
        "money": np.array([any(sign in text for sign in "$\u20ac\u00a3\u00a5") for text in texts]),
        "copyright": np.array(["\u00a9" in text for text in texts]),
        "in_title": np.array([sum(map(title_words.__contains__, map(str.lower, one))) / (len(one) + 1) for one in split]),
        "in_body": _said(texts, metadata.body),
        "in_description": _said(texts, metadata.description),
        "repeats": _log_counts(_group([text.lower() for text in texts])),
    }
    return own | _place(blocks, words, linked, stops) | _context(words, linked, stops) | _page(blocks, words, linked, types, count)


def _place(blocks: PageBlocks, words: Ints, linked: Floats, stops: Ints) -> dict[str, npt.NDArray[np.generic]]:
    """Features of the elements around a block."""
    inside, parents = np.array(blocks.inside), blocks.parents
    tags, elements = blocks.tags, len(blocks.tags)
    long_words = np.where((words > 12) & (linked < 0.5), words, 0)
    sums = np.stack([element_sums(blocks, value) for value in (words, words * linked, stops, long_words, np.ones(len(words)))], axis=1)
    total = max(float(words.sum()), 1.0)
    names, tag_masks, paths, depths = list(blocks.names), [tag_bits(tag) for tag in tags], [0] * elements, [0] * elements
    known: dict[tuple[int, str], int] = {}
    for element in range(1, elements):
        above = parents[element]
        names[element] |= names[above]
        tag_masks[element] |= tag_masks[above]
        depths[element] = depths[above] + 1
        paths[element] = known.setdefault((paths[above], blocks.shapes[element]), len(known) + 1)
    element_words = sums[:, 0]
    own_names, parent = np.array(blocks.names), np.array(parents)
    near_names = own_names | own_names[parent]
    block_names, block_near, block_tags = np.array(names)[inside], near_names[inside], np.array(tag_masks)[inside]
    found: dict[str, npt.NDArray[np.generic]] = {"depth": np.array(depths)[inside]}
    tag_of_block = np.array([tags[element] for element in blocks.inside])
    found |= {f"tag_{tag}": tag_of_block == tag for tag in TAGS}
    found |= {f"in_{tag}": block_tags >> place & 1 for place, tag in enumerate(ELEMENT_GROUPS)}
    found |= {f"name_{name}": block_names >> place & 1 for place, name in enumerate(GROUPS)}
    found |= {f"near_{name}": block_near >> place & 1 for place, name in enumerate(GROUPS)}
    deep = np.array(depths)
    for name, anchor in _anchors(blocks, long_words, element_words).items():
        way = [anchor]
        while way[-1]:
            way.append(parents[way[-1]])
        # The element in which the paths to the block and to the anchor part.
        at = _innermost(blocks, way[::-1])[inside]
        found[f"{name}_share"] = sums[at, 0] / total
        found[f"{name}_linked"] = sums[at, 1] / (sums[at, 0] + 1)
        found[f"{name}_up"] = deep[inside] - deep[at]
        found[f"{name}_down"] = deep[anchor] - deep[at]
    articles = np.cumsum([tag == "article" for tag in tags])
    found["articles_before"] = articles[inside]
    around = inside
    for level in range(ANCESTORS):
        found |= _sum_columns(f"up{level}", sums[around], total)
        around = parent[around]
    for share in REGION_SHARES:
        at = _innermost(blocks, np.flatnonzero(element_words >= share * total).tolist())[inside]
        found |= _sum_columns(f"region{share}", sums[at], total)
        found[f"region{share}_rank"] = at / elements
    for name, group in (("path", np.array(paths)[inside]), ("shape", _group([blocks.shapes[element] for element in blocks.inside]))):
        size = np.bincount(group)
        found[f"{name}_count"] = np.log1p(size[group])
        found[f"{name}_words"] = (np.bincount(group, words) / np.maximum(size, 1))[group]
        found[f"{name}_share"] = (np.bincount(group, words) / total)[group]
        found[f"{name}_linked"] = (np.bincount(group, linked) / np.maximum(size, 1))[group]
    return found


def _anchors(blocks: PageBlocks, running: Ints, element_words: Floats) -> dict[str, int]:
    """Two elements that are likely in or near the main content: the container of most running text, and the first main heading.

    As in Readability (Arc90, 2009), a paragraph counts for its parent, and half for its grandparent.
    """
    score = [0.0] * len(blocks.tags)
    for element, words in zip(blocks.inside, running.tolist(), strict=True):
        container = blocks.parents[element] if blocks.tags[element] in ("p", "pre", "blockquote", "li") else element
        score[container] += words
        score[blocks.parents[container]] += words / 2
    heading = next((element for element, tag in enumerate(blocks.tags) if tag == "h1" and element_words[element] > 0), 0)
    return {"running": max(range(len(score)), key=score.__getitem__), "heading": heading}


def _sum_columns(name: str, sums: Floats, total: float) -> dict[str, npt.NDArray[np.generic]]:
    words, linked_words, stops, long_words, count = sums.T
    return {
        f"{name}_share": words / total,
        f"{name}_words": np.log1p(words),
        f"{name}_linked": linked_words / (words + 1),
        f"{name}_stops": stops / (words + 1),
        f"{name}_long": long_words / (words + 1),
        f"{name}_mean": words / (count + 1),
    }


def _context(words: Ints, linked: Floats, stops: Ints) -> dict[str, npt.NDArray[np.generic]]:
    """Features of the blocks before and after a block."""
    count = len(words)
    found: dict[str, npt.NDArray[np.generic]] = {}
    for shift in NEIGHBOURS:
        at = np.arange(count) + shift
        there = (at >= 0) & (at < count)
        at = np.clip(at, 0, count - 1)
        found[f"words{shift:+}"] = np.where(there, np.log1p(words[at]), -1)
        found[f"linked{shift:+}"] = np.where(there, linked[at], -1)
        found[f"stops{shift:+}"] = np.where(there, stops[at] / (words[at] + 1), -1)
    for width in WINDOWS:
        start, end = np.maximum(np.arange(count) - width, 0), np.minimum(np.arange(count) + width + 1, count)
        for name, value in (("words", words), ("linked", words * linked), ("stops", stops)):
            running = np.concatenate([[0], np.cumsum(value)])
            sums = running[end] - running[start]
            if name == "words":
                around = sums
                found[f"window{width}_words"] = np.log1p(sums)
            else:
                found[f"window{width}_{name}"] = sums / (around + 1)
    return found


def _page(blocks: PageBlocks, words: Ints, linked: Floats, types: Sequence[float], count: int) -> dict[str, npt.NDArray[np.generic]]:
    """Features of the page as a whole, and of the block's position on it."""
    total = max(float(words.sum()), 1.0)
    before = np.cumsum(words) - words
    tags = [blocks.tags[element] for element in blocks.inside]
    first_heading = next((place for place, tag in enumerate(tags) if tag == "h1"), -1)
    since, level, last, last_level = [], [], -1, 0
    for place, tag in enumerate(tags):
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            last, last_level = place, int(tag[1])
        since.append(place - last)
        level.append(last_level)
    paragraphs = np.array([tag == "p" for tag in tags])
    largest = int(np.argmax(np.where(linked < 0.5, words, 0)))
    whole: dict[str, float] = {
        "page_words": np.log1p(total),
        "page_blocks": np.log1p(count),
        "page_linked": float((words * linked).sum()) / total,
        "page_paragraphs": float(words[paragraphs].sum()) / total,
        "page_long": float(words[(words > 12) & (linked < 0.5)].sum()) / total,
        "page_articles": blocks.tags.count("article"),
        "page_mains": blocks.tags.count("main"),
        "page_headings": sum(tag[0] == "h" for tag in tags) / count,
        "page_items": tags.count("li") / count,
    } | {f"page_is_{name}": value for name, value in zip(PAGE_TYPES, types, strict=False)}
    found: dict[str, npt.NDArray[np.generic]] = {name: np.full(count, value, dtype=np.float32) for name, value in whole.items()}
    at = np.arange(count)
    found |= {
        "position": at / count,
        "words_before": before / total,
        "words_before_log": np.log1p(before),
        "from_start": np.log1p(at),
        "from_end": np.log1p(count - at),
        "from_h1": np.clip(at - first_heading, -50, 200) if first_heading >= 0 else np.full(count, -60),
        "from_largest": np.clip(at - largest, -100, 100),
        "since_heading": np.array(since),
        "heading_level": np.array(level),
    }
    return found


def element_sums(blocks: PageBlocks, values: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """(elements,): the sum of `values` (blocks,) over the blocks inside each element."""
    own = np.bincount(blocks.inside, values.astype(np.float64), minlength=len(blocks.parents))
    running = np.concatenate([[0.0], np.cumsum(own)])
    sums: npt.NDArray[np.float64] = running[blocks.ends] - running[:-1]
    return sums


def _innermost(blocks: PageBlocks, chosen: list[int]) -> Ints:
    """(elements,): of the `chosen` elements, in document order, the innermost around each element; 0 where there is none."""
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
