"""C4's rules for single lines (Raffel et al. 2020, JMLR 21(140), section 2.2, and its published code), in datatrove's order, as counts: no line is removed."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_WORD = 1000
FEWEST_WORDS = 3
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
END_MARKS = (".", "?", "!", '"', "'")
POLICY_PHRASES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

# An end of a sentence inside a line: marks, whatever closes after them, and white space; but not after an initial or a short title.
_SENTENCE_BREAK = re.compile(r"""[.!?\u3002\uff01\uff1f](?<!\b[A-Z]\.)(?<!\b[MDS][rts]\.)(?<!\bMrs\.)[.!?\u3002\uff01\uff1f]*["'\u201d\u2019)\]]*\s""")


@dataclass(frozen=True, kw_only=True)
class C4Lines:
    """What C4 makes of the lines of a page."""

    long_word: int
    """Lines with a word of more than 1000 characters."""
    short: int
    """Lines with one or two words."""
    javascript: int
    """Lines that mention it."""
    policy: int
    """Lines with a phrase of a privacy or cookie notice."""
    unpunctuated: int
    """Lines that end in no terminal mark, or in an ellipsis. C4 removes them; FineWeb keeps them."""
    lorem_ipsum: int
    """Lines that make C4 discard the page."""
    curly_bracket: int
    """Lines that make C4 discard the page."""
    sentences: int
    """Sentences in the lines that remain when lines without terminal mark are kept, as FineWeb does."""
    punctuated_sentences: int
    """Sentences in the lines that remain under all of C4's rules."""


def read_c4_lines(lines: list[str]) -> C4Lines:
    """Apply the rules to `lines` (of `splitlines`). A line is counted for the first rule that removes it; unpunctuated ones are looked at further."""
    long_word = short = javascript = policy = unpunctuated = lorem_ipsum = curly_bracket = sentences = punctuated_sentences = 0
    for whole in lines:
        line = whole.strip()
        if not line:
            continue
        if len(line) > LONGEST_WORD and any(len(word) > LONGEST_WORD for word in line.split()):
            long_word += 1
            continue
        has_few_words = len(line.split(None, FEWEST_WORDS - 1)) < FEWEST_WORDS
        if "[" in line:
            line = CITATION.sub("", line)
        ends = line.endswith(END_MARKS) and not line.endswith("...")
        unpunctuated += not ends
        if has_few_words:
            short += 1
            continue
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            lorem_ipsum += 1
        elif "javascript" in lowered:
            javascript += 1
        elif "{" in line:
            curly_bracket += 1
        elif _mentions_policy(lowered):
            policy += 1
        else:
            found = count_sentences(line)
            sentences += found
            punctuated_sentences += found if ends else 0
    return C4Lines(
        long_word=long_word,
        short=short,
        javascript=javascript,
        policy=policy,
        unpunctuated=unpunctuated,
        lorem_ipsum=lorem_ipsum,
        curly_bracket=curly_bracket,
        sentences=sentences,
        punctuated_sentences=punctuated_sentences,
    )


def count_sentences(line: str) -> int:
    """Sentences of one line, by rule; a line that is not blank has at least one."""
    stripped = line.strip()
    return 1 + len(_SENTENCE_BREAK.findall(stripped)) if stripped else 0


def _mentions_policy(lowered: str) -> bool:
    return any(phrase in lowered for phrase in POLICY_PHRASES)
