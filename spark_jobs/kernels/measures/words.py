"""Words of a text: a fast splitter by rule, close to what spaCy's English tokenizer does.

What stands between white space is one word, from which marks are peeled off at its front and its back, one by one:
brackets, quotes, commas, signs of currency, units and full stops after what cannot be an abbreviation. What is left
is cut inside: between letters at hyphens, slashes and commas, between the numbers of a range, and before clitics
(`do n't`, `we 're`). Addresses stay whole, and so does what only looks like punctuation inside code: `f(x` or
`--help`. Of spaCy's list of exceptions it knows the most frequent ones. On English web pages one word between white
space in two thousand is cut otherwise.

Scripts that write no spaces between words are cut without a dictionary: a Han or hiragana character is a token, so
is a run of katakana, and in Thai, Lao, Burmese and Khmer two clusters in a row are one (a cluster is a consonant
with the vowels and tone marks around it, about half a word).
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import cache, lru_cache

from spark_jobs.kernels.scripts import CLUSTERED, DEPENDENT, HAN_AND_HIRAGANA, KATAKANA, character_class

_UNSPACED = character_class(HAN_AND_HIRAGANA, KATAKANA, CLUSTERED)

LONGEST_REMEMBERED = 64
"""Characters of the longest stretch whose tokens are remembered; longer ones rarely come again."""

_LONGEST_UNIT = 4
_LONGEST_RUN_OF_DOTS = 64
"""Characters of the longest mark, and of the longest run of dots, that are looked for at the back, so that a word is
peeled in linear time."""
_UNITS = "km|km/h|kmh|mph|m/s|cm|mm|nm|dm|ha|yd|in|ft|kg|mg|lb|oz|hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|am|pm|[gmtTGMK%]"
_TITLES_AND_PLACES = """
Mr. Mrs. Ms. Dr. Prof. Rev. Gen. Gov. Sen. Rep. Adm. St. Jr. Messrs. Ph.D. Inc. Co. Corp. Ltd. Bros. vs. Mt. e.g. i.e.
E.g. I.e. a.m. p.m. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Ala. Ariz. Ark. Calif. Colo. Conn.
Del. Fla. Ga. Ill. Ind. Kan. Ky. La. Mass. Md. Mich. Minn. Miss. Neb. Nev. Okla. Ore. Pa. Tenn. Va. Wash. Wis.
"""
_ABBREVIATIONS = frozenset(_TITLES_AND_PLACES.split()) | {f"{letter}." for letter in string.ascii_lowercase}
_LONGEST_ABBREVIATION = max(map(len, _ABBREVIATIONS))
_WHOLE = _ABBREVIATIONS | {"and/or", "w/o", "'"}
"""Stretches that stay as they are, once the marks around them are off."""


def split_words(text: str) -> list[str]:
    """Tokens of `text` in order: words and punctuation marks, none empty, none with white space inside."""
    if not text.isascii() and _unspaced_script().search(text):
        return [
            token
            for stretch in text.split()
            for part in _parts_of_scripts().findall(stretch)
            for token in _tokens_of_part(part)
        ]
    tokens: list[str] = []
    # No token crosses white space, and most stretches between white space are plain words or repeat: the rules see only
    # what is new.
    for stretch in text.split():
        if stretch.isalpha():
            tokens.append(stretch)
        elif len(stretch) <= LONGEST_REMEMBERED:
            tokens += _remembered_tokens(stretch)
        else:
            tokens += _tokens(stretch)
    return tokens


def _tokens_of_part(part: str) -> list[str]:
    return [part] if _unspaced_script().match(part) else _tokens(part)


@lru_cache(maxsize=1 << 16)
def _remembered_tokens(stretch: str) -> tuple[str, ...]:
    return tuple(_tokens(stretch))


def forget_words() -> None:
    """Forget the tokens of stretches seen before, so that one measurement of time does not profit from another."""
    _remembered_tokens.cache_clear()


def _tokens(stretch: str) -> list[str]:
    start, end = 0, len(stretch)
    if stretch[-1] in ",:;!?)" and stretch[:-1].isalpha():
        return [stretch[:-1], stretch[-1]]
    tokens: list[str] = []
    back: list[str] = []
    while start < end and not stretch[start].isalnum() and (mark := _front().match(stretch, start, end)):
        tokens.append(mark[0])
        start = mark.end()
    while start < end and (begin := _start_of_last_mark(stretch, start, end)) < end:
        back.append(stretch[begin:end])
        end = begin
    word = stretch[start:end]
    if word.isalnum() or word in _WHOLE or ("." in word and _address().match(word)):
        tokens.append(word)
    elif word:
        tokens += filter(None, _cuts().split(word))
    tokens += reversed(back)
    return tokens


def _start_of_last_mark(stretch: str, start: int, end: int) -> int:
    """Where the mark begins that ends the stretch from `start` to `end`; `end` where none does."""
    last = stretch[end - 1]
    if last.isdigit():
        return end
    if last == "." and end - start <= _LONGEST_ABBREVIATION and stretch[start:end] in _ABBREVIATIONS:
        return end
    if last == "." and stretch.endswith("..", start, end):
        mark = _dots().search(stretch, max(start, end - _LONGEST_RUN_OF_DOTS), end)
    else:
        mark = _back().search(stretch, max(start, end - _LONGEST_UNIT), end)
    return mark.start() if mark else end


@cache
def _front() -> re.Pattern[str]:
    return re.compile(rf"{_EMOTICON}(?!\w)|\.{{2,}}|[%=\u2014\u2013\u00a7{_marks()}{_currency()}]|\+(?![0-9])")


@cache
def _back() -> re.Pattern[str]:
    lower = "a-z\u00df-\u00f6\u00f8-\u00ff\u03ac-\u03ce\u0430-\u045f\u0590-\u10ff\u1200-\u137f"
    return re.compile(
        rf"(?:{_EMOTICON}|\):|['\u2019][sS]|[\u2014\u2013{_marks()}]|(?<=[0-9])(?:\+|[{_currency()}]|{_UNITS})"
        rf"|(?<=[0-9{lower}%\u00b2+{_marks()}-])\.|(?<=[A-Z][A-Z])\.)\Z"
    )


_EMOTICON = r"[:;]-?[()DPp]"


@cache
def _dots() -> re.Pattern[str]:
    return re.compile(r"\.{2,}\Z")


@cache
def _cuts() -> re.Pattern[str]:
    letter = r"[^\W\d_]"
    dashes = "--+|[-\u2013\u2014~]"
    return re.compile(
        rf"(\.{{2,}}|[\u2026{_pictures()}]"
        r"|(?<=[0-9])[+\-*^](?=[0-9-])"  # 2019-2020, but not covid-19
        # the missing space in `end.Then`
        r"|(?<=[a-z\u00df-\u00ff\"'\u201d\u2019])\.(?=[A-Z\u00c0-\u00de\"'\u201c\u2018])"
        rf"|(?<={letter}),(?={letter})"
        rf"|(?<=[^\W_])(?:{dashes})(?={letter})"
        rf"|(?<=[^\W_])[:<>=/](?={letter})"
        r"|(?<=[a-zA-Z])(?=n['\u2019]t\Z)"
        r"|(?<=\w)(?=['\u2019](?:m|d|re|ve|ll)\Z))"
    )


@cache
def _address() -> re.Pattern[str]:
    """A host with a domain in lower case, and whatever goes around it."""
    letter = "A-Za-z0-9\u00a1-\uffff"
    return re.compile(
        rf"(?:[\w+.-]{{2,}}://)?(?:[^\s@]+@)?(?:[{letter}](?:[{letter}_-]*[{letter}])?\.)+[a-z]{{2,63}}(?::\d{{2,5}})?(?:[/?#]\S*)?\Z"
    )


@cache
def _unspaced_script() -> re.Pattern[str]:
    return re.compile(f"[{_UNSPACED}]")


@cache
def _parts_of_scripts() -> re.Pattern[str]:
    cluster = rf"[\u0e40-\u0e44\u0ec0-\u0ec4]?[{character_class(CLUSTERED)}][{character_class(DEPENDENT)}]*"
    han, katakana = character_class(HAN_AND_HIRAGANA), character_class(KATAKANA)
    return re.compile(f"[{han}]|[{katakana}]+|(?:{cluster}){{1,2}}|[^{_UNSPACED}]+")


@cache
def _marks() -> str:
    """The body of a character class: what comes off a word on both sides. Marks that stand for a word, or between
    numbers, do not."""
    return (
        r"""!"#&'()*,:;<>?\[\]_`{}\u00b4"""
        + _class_of(frozenset({"Ps", "Pe", "Pi", "Pf", "Po"}), "\u2022\u2020\u2021\u00a7\u00b6\u2030\u2032\u2033")
        + _pictures()
    )


@cache
def _pictures() -> str:
    return _class_of(frozenset({"So"}))


@cache
def _currency() -> str:
    return "$" + _class_of(frozenset({"Sc"}))


def _class_of(categories: frozenset[str], but: str = "") -> str:
    """The body of a character class: the characters beyond ASCII of these Unicode categories."""
    ranges: list[list[int]] = []
    for code in (*range(0x80, 0x10000), *range(0x1F000, 0x1FB00)):
        if unicodedata.category(chr(code)) in categories and chr(code) not in but:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
