"""What sort of page it is: a linear model over what a page says it is, the words of its address and the counts of a
few elements.

The weights (`page_type.json`) are those of a multinomial logistic regression on pages of known type;
`bench/train_main_content.py` makes them and prints the accuracy on domains that it has not seen.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from functools import cache
from importlib.resources import files

from spark_jobs.kernels.pages.page_blocks import PageBlocks
from spark_jobs.kernels.pages.page_metadata import PageMetadata

PAGE_TYPES = ("article", "collection", "documentation", "forum", "listing", "product", "service", "other")
"""`other` is a page that no type is likely enough for."""
MIN_PROBABILITY = 0.4

_KINDS = {
    "news": "newsarticle reportagenewsarticle analysisnewsarticle",
    "article": "article blogposting report",
    "howto": "recipe howto howtostep",
    "technical": "techarticle apireference softwaresourcecode",
    "product": "product productgroup product.item product.group offer",
    "forum": "discussionforumposting qapage question answer comment",
    "items": "itemlist",
    "collection": "collectionpage searchresultspage offercatalog product.group",
    "breadcrumbs": "breadcrumblist",
    "service": "service localbusiness professionalservice",
    "organization": "organization corporation",
    "faq": "faqpage",
    "author": "person",
    "website": "website",
    "job": "jobposting event",
}
_WORDS = {
    "blog": "blog blogs news article articles story post posts insights resources learn guide guides magazine advice",
    "shop": "shop store products product p dp item items itm sku buy pd",
    "collection": "collections collection category categories c catalog cat browse department",
    "forum": "forum forums t thread threads topic topics viewtopic showthread community discuss discussion discussions "
    "questions comments boards board d",
    "docs": "docs doc documentation reference api manual tutorial tutorials wiki guide stable latest library en user "
    "handbook",
    "service": "services service solutions solution pricing platform features about industries software",
    "listing": "list search jobs events top best directory find listings archive tag topics chart schedule",
}
_KIND_SETS = tuple(frozenset(kinds.split()) for kinds in _KINDS.values())
_WORD_SETS = tuple(frozenset(words.split()) for words in _WORDS.values())
_COUNTED_TAGS = "p li article h2 h3 h4 table tr pre form input button dt blockquote section nav figure"
_COUNTED = tuple(_COUNTED_TAGS.split())
_MARKS = {
    "cart": ("add to cart", "add to bag", "add to basket"),
    "reply": ("reply", "joined", "quote"),
    "filter": ("filter", "sort by"),
    "demo": ("book a demo", "get started", "contact sales", "free trial", "request a quote", "get a quote"),
    "share": ("share this", "related articles", "read more"),
    "results": ("results", "showing"),
    "docs": ("edit this page", "previous page", "on this page", "next topic"),
    "price": ("price", "shipping"),
}
_ADDRESS_WORD = re.compile(r"[a-z]+")
_YEAR = re.compile(r"/(?:19|20)\d\d/")


def likeliest_type(probabilities: list[float]) -> str:
    """The most likely of PAGE_TYPES; `other` where none is likely."""
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    return PAGE_TYPES[best] if probabilities[best] >= MIN_PROBABILITY else "other"


def type_probabilities(blocks: PageBlocks, metadata: PageMetadata) -> list[float]:
    """One probability for each of PAGE_TYPES but `other`, in their order."""
    model = _model()
    features = type_features(blocks, metadata)
    logits = [
        bias + sum(weight * value for weight, value in zip(weights, features, strict=True)) for bias, weights in model
    ]
    most = max(logits)
    powers = [math.exp(logit - most) for logit in logits]
    return [power / sum(powers) for power in powers]


def type_features(blocks: PageBlocks, metadata: PageMetadata) -> list[float]:
    """Numbers of about unit size; their order is fixed by the tables above."""
    lower = "\n".join(blocks.texts).lower()
    counts = Counter(blocks.tags)
    lengths = [len(text) for text in blocks.texts]
    total = sum(lengths) + 1
    address = (metadata.address or "").lower().partition("://")[2]
    host, _, path = address.partition("/")
    path_words, host_words = set(_ADDRESS_WORD.findall(path)), set(_ADDRESS_WORD.findall(host))
    features = [float(not metadata.kinds.isdisjoint(kinds)) for kinds in _KIND_SETS]
    features += [
        float(not metadata.kinds),
        float("website" in metadata.kinds),
        float(metadata.date is not None),
        float(metadata.author is not None),
    ]
    features += [float(not path_words.isdisjoint(words)) for words in _WORD_SETS]
    features += [float(not host_words.isdisjoint(words)) for words in _WORD_SETS]
    parts = [part for part in path.partition("?")[0].split("/") if part]
    features += [
        float(not address),
        float(bool(address) and not parts),
        min(len(parts), 6) / 3,
        float(bool(_YEAR.search(path))),
        float("?" in path),
    ]
    features += [min(path.count("-"), 12) / 6, float(any(character.isdigit() for character in path))]
    features += [math.log1p(counts[tag]) / 3 for tag in _COUNTED]
    features += [math.log1p(sum(map(lower.count, marks))) / 2 for marks in _MARKS.values()]
    features += [
        math.log1p(total) / 10,
        math.log1p(len(lengths)) / 6,
        min(sum(blocks.linked) / total, 1.0),
        sum(size for size in lengths if size > 80) / total,
    ]
    features += [max(lengths, default=0) / total, math.log1p(sum(lower.count(sign) for sign in "$\u20ac\u00a3")) / 3]
    return features


@cache
def _model() -> list[tuple[float, list[float]]]:
    model = json.loads(files(__package__).joinpath("page_type.json").read_text(encoding="utf-8"))
    return [(bias, weights) for bias, weights in zip(model["biases"], model["weights"], strict=True)]
