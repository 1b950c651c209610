"""Words of a text: a fast splitter by rule, close to what spaCy's English tokenizer does.

Punctuation marks are tokens of their own, runs of dots or dashes are one token, clitics part from their word (`do n't`, `it 's`), while addresses, numbers with
separators, abbreviations of single letters and words with inner `.`, `&`, `@` or `_` stay whole. Unlike spaCy it knows no list of exceptions
(`Mr.`, `cannot`), units (`10km`) or emoticons. On English web pages one token in two hundred differs.

Scripts that write no spaces between words are cut without a dictionary: a Han or hiragana character is a token, so is a run of katakana, and in Thai, Lao,
Burmese and Khmer two clusters in a row are one (a cluster is a consonant with the vowels and tone marks around it, about half a word).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

_HAN_AND_HIRAGANA = "\u3005-\u3007\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"
_CLUSTERED = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u109f\u1780-\u17d3\u17d7\u17dc-\u17dd"
"""Thai, Lao, Burmese and Khmer letters and signs, without their digits and punctuation."""
_DEPENDENT = "\u0e30-\u0e3a\u0e45-\u0e4e\u0eb0-\u0ebc\u0ec5-\u0ecd\u102b-\u103e\u1056-\u1059\u105e-\u1060\u17b4-\u17d3\u17dd"
"""Of these, the ones that follow the consonant that they belong to."""

LONGEST_REMEMBERED = 64
"""Characters of the longest stretch whose tokens are remembered; longer ones rarely come again."""


def split_words(text: str) -> list[str]:
    """Tokens of `text` in order: words and punctuation marks, none empty, none with white space inside."""
    if not text.isascii() and _unspaced_pattern().search(text):
        return [token for stretch in text.split() for token in _tokens(stretch)]
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
    character = rf"[^\s{_symbol_class()}{_HAN_AND_HIRAGANA}{_KATAKANA}{_CLUSTERED}]"
    letter = rf"[^\W\d_{_HAN_AND_HIRAGANA}{_KATAKANA}{_CLUSTERED}]"
    cluster = rf"[\u0e40-\u0e44\u0ec0-\u0ec4]?[{_CLUSTERED}][{_DEPENDENT}]*"
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
        f"[{_HAN_AND_HIRAGANA}]",
        f"[{_KATAKANA}]+",
        rf"(?:{cluster}){{1,2}}",
        r"\.{2,}|-{2,}|={2,}|~{2,}",
        r"\S",
    )
    return re.compile("|".join(tokens))


@cache
def _unspaced_pattern() -> re.Pattern[str]:
    return re.compile(f"[{_HAN_AND_HIRAGANA}{_KATAKANA}{_CLUSTERED}]")


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
