"""Blocks of a page as Markdown: headings, lists, quotes, code with its white space, tables with pipes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from spark_jobs.kernels.pages.page_blocks import PageBlocks

_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_FENCE = "```"
_CELLS = ("td", "th")


def markdown(blocks: PageBlocks, kept: list[int]) -> str:
    """The blocks `kept` (places in document order) as CommonMark with the table extension of GFM; paragraphs are
    apart by an empty line."""
    parts: list[tuple[str, str]] = []
    items: set[int] = set()
    for (kind, element), group in groupby(kept, key=lambda place: _container(blocks, blocks.inside[place])):
        places = list(group)
        if kind == "table":
            parts.append((kind, _table(blocks, places)))
        elif kind == "li":
            parts.append((kind, _item(blocks, places, element, begun=element in items)))
            items.add(element)
        else:
            parts += [(kind, _paragraph(blocks, place)) for place in places]
    text = ""
    for before, (kind, part) in zip([("", ""), *parts], parts, strict=False):
        text += ("\n" if before[0] == kind == "li" else "\n\n") + part
    return text.lstrip("\n")


def _container(blocks: PageBlocks, element: int) -> tuple[str, int]:
    """The innermost table or list item around an element, whichever is nearer; "" and the element itself outside
    both."""
    at = element
    while at:
        tag = blocks.tags[at]
        if tag in _CELLS:
            # A table for layout has other tables, lists or headings in its cells; those are nearer.
            return "table", _ancestor(blocks, at, ("table",))
        if tag == "li":
            return "li", at
        if tag == "pre" or tag in _HEADINGS:
            break
        at = blocks.parents[at]
    return "", element


def _paragraph(blocks: PageBlocks, place: int) -> str:
    text, at = blocks.texts[place], blocks.inside[place]
    if blocks.tags[at] == "pre":
        fence = _FENCE
        while fence in text:
            fence += "`"
        return f"{fence}\n{text}\n{fence}"
    quoted = _ancestor(blocks, at, ("blockquote",)) != 0
    heading = _ancestor(blocks, at, tuple(_HEADINGS))
    if heading:
        text = _HEADINGS[blocks.tags[heading]] + text.replace("\n", " ")
    else:
        text = text.replace("\n", "  \n")
    return "\n".join(f"> {line}" for line in text.split("\n")) if quoted else text


def _item(blocks: PageBlocks, places: list[int], item: int, begun: bool) -> str:
    """All blocks of a list item, those of lists inside it excepted: the first after the mark, unless it has `begun`
    before."""
    depth, at = 0, blocks.parents[item]
    ordered = blocks.tags[at] == "ol"
    while at:
        depth += blocks.tags[at] in ("ul", "ol")
        at = blocks.parents[at]
    number = 1 + sum(other < item for other in _children(blocks, blocks.parents[item], ("li",)))
    mark = f"{number}. " if ordered else "- "
    indent = "    " * max(depth - 1, 0)
    lines = "\n".join(_paragraph(blocks, place) for place in places).split("\n")
    return "\n".join(
        indent + (mark if place == 0 and not begun else " " * len(mark)) + line for place, line in enumerate(lines)
    )


def _table(blocks: PageBlocks, places: list[int]) -> str:
    """Rows of the table that the blocks are in, empty cells included; the first becomes its head, as GFM tables have
    one."""
    texts: dict[int, list[str]] = {}
    for place in places:
        texts.setdefault(_ancestor(blocks, blocks.inside[place], _CELLS), []).append(
            blocks.texts[place].replace("\n", " ").replace("|", "\\|")
        )
    rows = [
        [" ".join(texts.get(cell, [])) for cell in _children(blocks, row, _CELLS)]
        for row in dict.fromkeys(blocks.parents[cell] for cell in texts)
    ]
    width = max(map(len, rows))
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _children(blocks: PageBlocks, element: int, tags: tuple[str, ...]) -> Iterator[int]:
    for other in range(element + 1, blocks.ends[element]):
        if blocks.parents[other] == element and blocks.tags[other] in tags:
            yield other


def _ancestor(blocks: PageBlocks, element: int, tags: tuple[str, ...]) -> int:
    """The innermost element of one of `tags` around an element or itself; 0 where there is none."""
    while element and blocks.tags[element] not in tags:
        element = blocks.parents[element]
    return element
