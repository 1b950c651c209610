"""Headwater's own extractor: a page in blocks, each block's likelihood to be main content from a model, and of them
the selection that is best for all.

It costs a fraction of what trafilatura does and knows more than articles: the model has learned from forums,
products, listings, collections, services and documentation too (`docs/extraction.md` has the figures). Nothing is
remembered from page to page.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from resiliparse.extract.html2text import extract_plain_text

from spark_jobs.kernels.pages.block_features import block_features, element_sums
from spark_jobs.kernels.pages.block_markdown import markdown
from spark_jobs.kernels.pages.block_model import block_model
from spark_jobs.kernels.pages.main_content import MainContent
from spark_jobs.kernels.pages.page_blocks import GROUPS, MAX_ELEMENTS, PageBlocks, page_blocks, parse_page
from spark_jobs.kernels.pages.page_metadata import page_metadata
from spark_jobs.kernels.pages.page_type import PAGE_TYPES, likeliest_type, type_probabilities

MIN_WORDS_SHARE = 0.6
"""Share of an article's likely content that the element around it holds; on the pages of known content, 0.55 to 0.75
are alike."""
ALONE_FACTOR = 0.7
"""What the likelihood of a block is multiplied by that resiliparse does not find in an article; chosen in
cross-validation, 0.7 to 0.5 are alike."""
SURE = 0.9
"""Likelihood from which a block outside that element stays."""
ASIDE_FACTOR = 0.2
"""What the likelihood of comments and teasers is multiplied by on the page of an article."""
_BEGINNING = 60
"""Characters of a block that are looked for in the second opinion."""
_ASIDE = sum(1 << place for place, name in enumerate(GROUPS) if name in ("comment", "related"))


def read_main_content(page: str, as_markdown: bool = False, max_elements: int = MAX_ELEMENTS) -> MainContent:
    """Main content of a page, a line a block, or as Markdown; elements beyond `max_elements` are not read."""
    metadata = page_metadata(page)
    root = parse_page(page)
    blocks = page_blocks(root, max_elements, code_marks=as_markdown) if root is not None else PageBlocks()
    if not blocks.texts:
        return MainContent("", metadata)
    types = type_probabilities(blocks, metadata)
    likely = block_model().probabilities(block_features(blocks, metadata, types))
    kept = select_blocks(blocks, likely, second_opinion(page) if is_article(types) else None)
    text = markdown(blocks, kept) if as_markdown else "\n".join(blocks.texts[place] for place in kept)
    return MainContent(text, metadata, likeliest_type(types))


def is_article(types: list[float]) -> bool:
    return types[PAGE_TYPES.index("article")] >= 0.5


def second_opinion(page: str) -> str:
    """The main content by resiliparse, whose rules are good at articles and err on other pages than a model does;
    white space collapsed."""
    text: str = extract_plain_text(page, main_content=True, alt_texts=False, links=False, comments=False)
    return " ".join(text.split())


def select_blocks(blocks: PageBlocks, likely: npt.NDArray[np.float64], article: str | None) -> list[int]:
    """Places of the blocks to keep, of a page with blocks, in document order; `article` is the second opinion of an
    article, None for other pages.

    An article is one thing in one place: comments on it and teasers of others beside it read like articles
    themselves, and only the page as a whole tells that they are not. Nothing of the kind holds for threads, listings
    and shops.
    """
    words = np.array(list(map(len, map(str.split, blocks.texts))))
    if article is None:
        return [int(place) for place in np.flatnonzero(most_likely_content(likely, words))]
    inside, ends, named_aside = (
        np.array(blocks.inside),
        np.array(blocks.ends),
        np.flatnonzero(np.array(blocks.names) & _ASIDE),
    )
    # Of the elements so named that begin before a block, one is around it unless all of them have ended.
    begun = np.searchsorted(named_aside, inside, side="right")
    aside = begun > np.searchsorted(np.sort(ends[named_aside]), inside, side="right")
    if (likely[~aside] >= 0.5).any():
        # Unless all that is likely is named so: names are no proof.
        likely = np.where(aside, likely * ASIDE_FACTOR, likely)
    seconded = np.array([" ".join(text[:_BEGINNING].split()) in article for text in blocks.texts])
    if seconded.any():
        likely = np.where(seconded, likely, likely * ALONE_FACTOR)
    within = _inside_main_element(inside, ends, words * likely)
    return [int(place) for place in np.flatnonzero(most_likely_content(likely, words) & (within | (likely > SURE)))]


def _inside_main_element(
    around: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], content: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which blocks are in the innermost element that holds MIN_WORDS_SHARE of the likely content."""
    held = element_sums(around, ends, content)
    # Elements that hold more than half are inside one another, so the last in document order is the innermost.
    main = int(np.flatnonzero(held >= MIN_WORDS_SHARE * held[0])[-1])
    inner: npt.NDArray[np.bool_] = (around >= main) & (around < ends[main])
    return inner


def most_likely_content(probabilities: npt.NDArray[np.float64], words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which blocks to keep, so that F1 by words is greatest if each block is content with its probability.

    The best selection for F1 is a threshold (Lewis 1995, SIGIR), which depends on the page: it is low where the
    model is sure of nothing. So a page with blocks never has none kept.
    """
    order = np.argsort(-probabilities, kind="stable")
    content, size = (probabilities * words)[order], words[order]
    expected = 2 * np.cumsum(content) / (np.cumsum(size) + content.sum() + 1e-9)
    chosen = np.zeros(len(words), dtype=np.bool_)
    chosen[order[: int(np.argmax(expected)) + 1]] = True
    return chosen
