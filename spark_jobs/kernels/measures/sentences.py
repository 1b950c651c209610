"""Sentences of a text, by two rules that must not be mixed.

`split_sentences` is this project's own, in every language that ends a sentence with a mark: good enough to find the
worst sentence. `count_c4_sentences` counts as C4's code and datatrove do, because C4's threshold of sentences was
chosen with that count: it knows fewer abbreviations, and wants white space after every mark.
"""

from __future__ import annotations

import re
from functools import cache

from spark_jobs.kernels.measures.characters import TERMINAL_PUNCTUATION

# Marks that are followed by a new sentence without a space between, as in Chinese and Japanese.
_UNSPACED = "\u3002\uff01\uff1f\uff61"
_ABBREVIATIONS = (
    "Mr",
    "Mrs",
    "Ms",
    "Dr",
    "Prof",
    "St",
    "Jr",
    "Sr",
    "vs",
    "etc",
    "e.g",
    "i.e",
    "No",
    "Inc",
    "Ltd",
    "Co",
    "Nr",
    "bzw",
    "usw",
    "Fig",
    "al",
)
# An end of a sentence inside a line: marks, whatever closes after them, and white space; but not after an initial or a
# short title.
_C4_BREAK = re.compile(
    r"""[.!?\u3002\uff01\uff1f](?<!\b[A-Z]\.)(?<!\b[MDS][rts]\.)(?<!\bMrs\.)[.!?\u3002\uff01\uff1f]*["'\u201d\u2019)\]]*\s"""
)

LONGEST = 2000
"""Characters after which a sentence without an end is cut, so that a page without marks is not one sentence."""


def split_sentences(text: str) -> list[str]:
    """Sentences in order, none blank, without white space around them. A line feed always ends one; white space
    inside stays."""
    sentences: list[str] = []
    for line in text.split("\n"):
        start = 0
        # Most lines are ASCII, where a small class of characters is found much faster.
        for end in _ends(ascii_only=line.isascii()).finditer(line):
            if not _goes_on(line, end):
                _add(sentences, line[start : end.end()])
                start = end.end()
        _add(sentences, line[start:])
    return sentences


def _add(sentences: list[str], stretch: str) -> None:
    stretch = stretch.strip()
    while len(stretch) > LONGEST:
        cut = stretch.rfind(" ", 1, LONGEST) + 1 or LONGEST
        sentences.append(stretch[:cut].rstrip())
        stretch = stretch[cut:].lstrip()
    if stretch:
        sentences.append(stretch)


def _goes_on(line: str, end: re.Match[str]) -> bool:
    """Whether a full stop belongs to an abbreviation or an initial, or the text goes on in lower case."""
    if not end[0].startswith("."):
        return False
    before = line[max(0, end.start() - 8) : end.start()].rsplit(None, 1)
    word = before[-1].lstrip("(\"'") if before and not line[end.start() - 1].isspace() else ""
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isupper()) or line[end.end() : end.end() + 1].islower()


@cache
def _ends(*, ascii_only: bool) -> re.Pattern[str]:
    if ascii_only:
        return re.compile(r"[.!?]+[\"')\]]*\s+")
    spaced = re.escape("".join(sorted(TERMINAL_PUNCTUATION - set(_UNSPACED))))
    closing = r"[\"'\u201d\u2019)\]\u300d\u300f]*"
    return re.compile(rf"[{spaced}]+{closing}\s+|[{_UNSPACED}]+{closing}\s*")


def count_c4_sentences(line: str) -> int:
    """Sentences of one line as C4 counts them; a line that is not blank has at least one."""
    stripped = line.strip()
    return 1 + len(_C4_BREAK.findall(stripped)) if stripped else 0
