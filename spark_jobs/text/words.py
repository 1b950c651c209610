"""Words of a text: a fast splitter by rule, close to what spaCy's English tokenizer does.

Punctuation marks are tokens of their own, runs of dots or dashes are one token, clitics part from their word (`do n't`, `it 's`), while addresses, numbers with
separators, abbreviations of single letters and words with inner `.`, `&`, `@` or `_` stay whole. Unlike spaCy it knows no list of exceptions
(`Mr.`, `cannot`), units (`10km`) or emoticons. On English web pages one token in two hundred differs; a script that
writes no spaces between words, such as Chinese or Thai, gives one token a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

LONGEST_REMEMBERED = 64
"""Characters of the longest stretch whose tokens are remembered; longer ones rarely come again."""


def split_words(text: str) -> list[str]:
    """Tokens of `text` in order: words and punctuation marks, none empty, none with white space inside."""
    tokens: list[str] = []
    # No token crosses white space, and most stretches between white space are plain words or repeat: the pattern sees only what is new.
    for stretch in text.split():
        if stretch.isalnum():
            tokens.append(stretch)
        elif len(stretch) <= LONGEST_REMEMBERED:
            tokens.extend(_remembered_tokens(stretch))
        else:
            tokens.extend(_tokens(stretch))
    return tokens


@lru_cache(maxsize=1 << 16)
def _remembered_tokens(stretch: str) -> tuple[str, ...]:
    return tuple(_tokens(stretch))


def _tokens(stretch: str) -> list[str]:
    for contraction in ("n't", "n\u2019t"):
        stretch = stretch.replace(contraction, f" {contraction}")
    return _token_pattern().findall(stretch)


@cache
def _token_pattern() -> re.Pattern[str]:
    character = rf"[^\s{_symbol_class()}]"
    letter = r"[^\W\d_]"
    clitic = r"['\u2019](?:s|m|d|re|ve|ll|t)\b"
    inner_mark = "|".join(
        (
            rf"[&@](?={character})",  # AT&T, name@example.org
            rf"(?:\.(?![A-Z])|(?<![a-z])\.)(?={character})",  # example.org and 3.14, but not the missing space in `end.Then`
            r"[,:/](?=\d)",  # 1,000 and 10:30
            r"-(?=\d)(?<=[^\W\d]-)",  # covid-19, but not 2019-2020
            rf"(?!{clitic})['\u2019](?={character})",  # o'clock
        )
    )
    tokens = (
        r"(?:https?://|www\.)[^\s<>\"']*[\w/]",
        rf"(?:{letter}\.){{2,}}",  # U.S., e.g.
        r"n['\u2019]t\b",
        rf"{character}+(?:(?:{inner_mark}){character}+)*",
        clitic,
        r"\.{2,}|-{2,}|={2,}|~{2,}",
        r"\S",
    )
    return re.compile("|".join(tokens))


@cache
def _symbol_class() -> str:
    """The body of a character class: punctuation and symbols of all scripts in use, except the underscore."""
    ranges: list[list[int]] = []
    for code in (*range(0x21, 0x10000), *range(0x1F000, 0x1FB00)):
        if unicodedata.category(chr(code))[0] in "PS" and code != ord("_"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
