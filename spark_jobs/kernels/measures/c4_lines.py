"""C4's rules for single lines (Raffel et al. 2020, JMLR 21(140), section 2.2, and its published code), in
datatrove's order, as counts: no line is removed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spark_jobs.kernels.measures.sentences import count_c4_sentences

LONGEST_WORD = 1000
FEWEST_WORDS = 3
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
END_MARKS = (".", "?", "!", '"', "'")
POLICY_PHRASES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


@dataclass(frozen=True, kw_only=True)
class C4Lines:
    """What C4 makes of the lines of a page. "Punctuated" is counted over lines with a terminal mark alone: C4 keeps
    no others, FineWeb keeps all."""

    long_word: int
    """Lines with a word of more than 1000 characters."""
    short: int
    """Lines with one or two words."""
    javascript: int
    """Lines that mention it."""
    policy: int
    """Lines with a phrase of a privacy or cookie notice."""
    unpunctuated: int
    """Lines that end in no terminal mark, or in an ellipsis."""
    lorem_ipsum: int
    """Lines that make C4 discard the page."""
    punctuated_lorem_ipsum: int
    curly_bracket: int
    """Lines that make C4 discard the page."""
    punctuated_curly_bracket: int
    sentences: int
    """Sentences in the lines that remain."""
    punctuated_sentences: int
    kept: list[str]
    """Lines that remain when those without a terminal mark are kept: without citations, and without white space
    around them."""
    lost: list[str]
    """Lines that do not remain, or not as they were."""
    changed: list[str]
    """The lines among `kept` that lost a citation."""


def read_c4_lines(lines: list[str]) -> C4Lines:
    """Apply the rules to `lines` (of `splitlines`). A line is counted for the first rule that removes it;
    unpunctuated ones are looked at further."""
    counts = dict.fromkeys(("long_word", "short", "javascript", "policy"), 0)
    unpunctuated = sentences = punctuated_sentences = 0
    lorem_ipsum: list[bool] = []
    curly_bracket: list[bool] = []
    kept: list[str] = []
    lost: list[str] = []
    changed: list[str] = []
    for whole in lines:
        line = whole.strip()
        if not line:
            continue
        bare = CITATION.sub("", line) if "[" in line else line
        ends = is_punctuated(bare)
        lowered = bare.lower()
        fault = line_fault(line, lowered)
        unpunctuated += not ends and fault != "long_word"
        if fault not in ("long_word", "short"):
            # The two that discard a page, each in its place among the rules that remove a line.
            if "lorem ipsum" in lowered:
                lorem_ipsum.append(ends)
            if fault != "javascript" and "{" in bare:
                curly_bracket.append(ends)
        if fault is not None:
            counts[fault] += 1
            lost.append(line)
            continue
        found = count_c4_sentences(bare)
        sentences += found
        punctuated_sentences += found if ends else 0
        kept.append(bare)
        if bare is not line and bare != line:
            lost.append(line)
            changed.append(bare)
    return C4Lines(
        **counts,
        unpunctuated=unpunctuated,
        lorem_ipsum=len(lorem_ipsum),
        punctuated_lorem_ipsum=sum(lorem_ipsum),
        curly_bracket=len(curly_bracket),
        punctuated_curly_bracket=sum(curly_bracket),
        sentences=sentences,
        punctuated_sentences=punctuated_sentences,
        kept=kept,
        lost=lost,
        changed=changed,
    )


def line_fault(line: str, lowered: str) -> str | None:
    """The first rule that removes a stripped `line`, or None; `lowered` is the line without citations, in lower
    case. The rule on terminal marks is apart."""
    if len(line) > LONGEST_WORD and any(len(word) > LONGEST_WORD for word in line.split()):
        return "long_word"
    if len(line.split(None, FEWEST_WORDS - 1)) < FEWEST_WORDS:
        return "short"
    if "javascript" in lowered:
        return "javascript"
    # One of these is in each of the phrases.
    if "cookie" in lowered or "privacy" in lowered or "terms" in lowered:
        return "policy" if any(phrase in lowered for phrase in POLICY_PHRASES) else None
    return None


def is_punctuated(bare: str) -> bool:
    """Whether a line without citations ends in a terminal mark, but not in an ellipsis."""
    return bare.endswith(END_MARKS) and not bare.endswith("...")
