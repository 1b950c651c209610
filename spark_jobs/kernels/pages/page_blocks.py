"""A page as a sequence of blocks: runs of text that no block-level boundary interrupts, each with its place in the
tree of elements.

The tree is libxml2's, which parses 250 kB of HTML in 2 ms. The walk keeps of it only what tells content from the
rest: tags, the words in `class` and `id`, and how much of the text is linked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from lxml import etree

MAX_ELEMENTS = 50_000
"""Elements of a page beyond which the rest is not read: a table of a million rows has its first ones."""

_INLINE = (
    "a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd label mark nobr picture q rp rt ruby "
    "s samp small source span strike"
    " strong sub sup time tt u var wbr"
)
INLINE = frozenset(_INLINE.split())
"""Elements that do not end a run of text; those that HTML does not know count as blocks."""

_SKIPPED = (
    "audio canvas datalist embed head iframe map math object option script select style svg template textarea title "
    "video"
)
SKIPPED = frozenset(_SKIPPED.split())
"""Elements whose content is not text for readers."""

GROUPS: dict[str, str] = {
    "ad": "ad ads advert advertisement adsense sponsor sponsored promo promotion banner outbrain taboola",
    "alert": "cookie cookies consent gdpr alert notice popup modal overlay dialog lightbox toast",
    "article": "article articlebody post story entry blog single news",
    "author": "author byline bio profile avatar user username member",
    "body": "body content text main maincontent richtext rte prose markdown wysiwyg copy editor",
    "bread": "breadcrumb breadcrumbs crumb crumbs path",
    "button": "btn button cta action actions",
    "caption": "caption figcaption credit credits figure gallery slide slider slideshow swiper carousel slick",
    "card": "card cards tile tiles grid teaser item items thumb thumbnail box",
    "cart": "cart basket checkout wishlist add quantity qty stock shipping delivery",
    "code": "code highlight syntax pre snippet",
    "comment": "comment comments disqus respond reply replies",
    "date": "date time timestamp published updated posted meta info",
    "desc": "description desc detail details summary excerpt intro lead lede overview about feature features spec "
    "specs specification",
    "docs": "doc docs documentation docutils section document api reference signature guide",
    "faq": "faq accordion collapse collapsible toggle panel tab tabs expand question answer",
    "footer": "footer foot bottom copyright legal disclaimer colophon",
    "form": "form input field login signup signin register search searchform select",
    "forum": "thread topic discussion message messages posts postbody forum cooked quote blockquote bbcode",
    "header": "header head top topbar masthead hero",
    "hidden": "hidden hide invisible sr visually offscreen screen reader none mobile",
    "list": "list lists listing listings results result archive feed loop collection category categories catalog "
    "products",
    "nav": "nav navigation navbar menu menus submenu megamenu dropdown sitemap skip link links",
    "news": "newsletter subscribe subscription email mailchimp optin",
    "pager": "pagination pager paging page pages next prev previous",
    "price": "price prices sale sku discount",
    "product": "product shop store woocommerce pdp",
    "related": "related recommended recommendation recommendations similar also more popular trending latest recent "
    "upsell cross recirc readmore",
    "review": "review reviews rating ratings star stars testimonial testimonials vote votes score",
    "share": "share sharing social facebook twitter pinterest follow sharedaddy addthis",
    "side": "sidebar side aside widget widgets rail secondary complementary",
    "sort": "sort filter filters facet facets refine toolbar",
    "tags": "tag tags label labels keyword keywords badge",
    "title": "title heading headline subtitle h1 h2 name",
    "toc": "toc contents index outline anchor",
}
"""Groups of words that authors of pages put into `class`, `id`, `role` and `itemprop`: what they name is alike on
pages that have nothing else in common."""
_ELEMENTS = (
    "nav header footer aside form main article section table ul ol li dl blockquote figure button a pre details h1 h2 "
    "p td tr address noscript"
)
ELEMENT_GROUPS = tuple(_ELEMENTS.split())
"""Elements that are groups of their own, for the blocks inside them."""

_WORD_BITS = {word: 1 << place for place, words in enumerate(GROUPS.values()) for word in words.split()}
_TAG_BITS = {tag: 1 << place for place, tag in enumerate(ELEMENT_GROUPS)}
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|h[12]")
_NAMING, _HIDING = (
    frozenset({"class", "id", "role", "itemprop", "data-testid"}),
    frozenset({"hidden", "aria-hidden", "style"}),
)
_BREAK = "\x0b"
_CHARACTER = re.compile(r"\w")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HIDDEN_BIT = 1 << list(GROUPS).index("hidden")


@dataclass(slots=True)
class PageBlocks:
    """Blocks in document order, and the elements (block-level ones only) that contain them; element 0 is the root
    and its own parent."""

    texts: list[str] = field(default_factory=list)
    """Text of each block, white space collapsed; a line feed where the page has `br`."""
    linked: list[int] = field(default_factory=list)
    """Characters of each block that are inside links, white space included."""
    links: list[int] = field(default_factory=list)
    inside: list[int] = field(default_factory=list)
    """Element that holds each block."""
    parents: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """One more than the last element inside each element: those inside it follow it without a gap."""
    tags: list[str] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    """Bits of GROUPS that the element's own attributes name."""
    shapes: list[str] = field(default_factory=list)
    """Tag and classes: equal for the items that a template repeats."""
    cut: bool = False
    """Whether the page has more elements than were read."""


def parse_page(page: str) -> etree._Element | None:
    """The tree of a page; None for a page without elements."""
    # NULs end libxml2's reading; surrogates cannot be encoded.
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True, recover=True)
    try:
        root: etree._Element | None = etree.fromstring(page.replace("\0", "").encode("utf-8", "replace"), parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None
    return root


def page_blocks(root: etree._Element, max_elements: int = MAX_ELEMENTS, code_marks: bool = False) -> PageBlocks:
    """Blocks of a page, those included that no reader sees; with `code_marks`, code inside a line is between grave
    accents."""
    found = PageBlocks()
    pieces: list[str] = []
    path: list[int] = [0]
    linked = links = in_links = read = 0
    after_link = False

    def end_block() -> None:
        nonlocal linked, links
        text = _block_text(pieces, preformatted=found.tags[path[-1]] == "pre")
        if text:
            found.texts.append(text)
            found.linked.append(linked)
            found.links.append(links)
            found.inside.append(path[-1])
        pieces.clear()
        linked = links = 0

    inline, skipped = INLINE, SKIPPED
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        tag = element.tag
        if event == "start":
            read += 1
            if read > max_elements:
                found.cut = True
                break
            after_link_before, after_link = after_link, False
            if tag in skipped:
                walk.skip_subtree()
                continue
            if tag not in inline:
                if pieces:
                    end_block()
                links = 0
                path.append(_open_element(found, element, tag, path[-1]))
            elif tag == "a":
                in_links += 1
                links += 1
                if after_link_before and pieces:
                    # Links of a menu often have nothing but their style between them.
                    pieces.append(" ")
            elif tag == "br":
                pieces.append(_BREAK)
            elif code_marks and tag == "code" and found.tags[path[-1]] != "pre":
                pieces.append("`")
            text = element.text
        else:
            if tag in inline:
                if tag == "a":
                    in_links -= 1
                elif code_marks and tag == "code" and found.tags[path[-1]] != "pre":
                    pieces.append("`")
            elif tag not in skipped:
                if pieces:
                    end_block()
                found.ends[path.pop()] = len(found.tags)
            text = element.tail
            after_link = tag == "a" and not text
        # White space between elements is most of what there is, and begins no block.
        if text and (pieces or not text.isspace()):
            pieces.append(text)
            if in_links:
                linked += len(text)
    if pieces:
        end_block()
    for element in path[: len(found.tags)]:
        found.ends[element] = len(found.tags)
    return found


def _block_text(pieces: list[str], preformatted: bool) -> str:
    """The text of a block with single spaces, or as it is in `pre`; nothing where there is no letter or digit."""
    text = "".join(pieces)
    if not _CHARACTER.search(text):
        return ""
    if preformatted:
        return text.replace(_BREAK, "\n").strip("\r\n")
    if _BREAK not in text:
        return " ".join(text.split())
    return "\n".join(line for line in (" ".join(line.split()) for line in text.split(_BREAK)) if line)


def _open_element(found: PageBlocks, element: etree._Element, tag: str, parent: int) -> int:
    found.parents.append(parent)
    found.ends.append(0)
    found.tags.append(tag)
    names, shape = 0, tag
    for key, value in element.items():
        if key in _NAMING:
            names |= name_bits(value[:200])
            if key == "class":
                shape = f"{tag}.{value}"
        elif key in _HIDING and (
            key == "hidden"
            or (key == "aria-hidden" and value == "true")
            or (key == "style" and _HIDDEN_STYLE.search(value))
        ):
            names |= _HIDDEN_BIT
    found.names.append(names)
    found.shapes.append(shape)
    return len(found.tags) - 1


@lru_cache(maxsize=1 << 14)
def name_bits(value: str) -> int:
    """Bits of the GROUPS that the words of an attribute's value belong to."""
    bits = 0
    for word in _NAME_WORDS.findall(value):
        bits |= _WORD_BITS.get(word.lower(), 0)
    return bits


def tag_bits(tag: str) -> int:
    """Bit of a tag in ELEMENT_GROUPS; 0 for others."""
    return _TAG_BITS.get(tag, 0)
