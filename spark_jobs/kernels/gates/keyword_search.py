"""Whole words and phrases of a list in a text, all in one pass over it, in any script (Aho and Corasick 1975)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import ahocorasick

from spark_jobs.kernels.scripts import UNSPACED_BLOCKS


class KeywordSearch:
    """Words and phrases by the name of the list that they come from."""

    def __init__(self, lists: Mapping[str, Iterable[str]]) -> None:
        names: dict[str, set[str]] = {}
        for name, entries in lists.items():
            for entry in entries:
                names.setdefault(folded(entry), set()).add(name)
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_ANY)
        for keyword, lists_of_keyword in names.items():
            if keyword:
                self._automaton.add_word(keyword, (keyword, frozenset(lists_of_keyword)))
        self._automaton.make_automaton()

    def __len__(self) -> int:
        return len(self._automaton)

    def find(self, text: str) -> dict[str, frozenset[str]]:
        """The different keywords in `text`, each with the names of its lists."""
        found: dict[str, frozenset[str]] = {}
        if not len(self):
            return found
        text = folded(text)
        for last, (keyword, names) in self._automaton.iter(text):
            start, end = last + 1 - len(keyword), last + 1
            if keyword not in found and not (_within_word(text, start) or _within_word(text, end)):
                found[keyword] = names
        return found


def folded(text: str) -> str:
    """Without differences of case, width and white space."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def url_words(url: str) -> str:
    """The URL as words with spaces between them."""
    return "".join(character if character.isalnum() else " " for character in unquote(url))


def _within_word(text: str, at: int) -> bool:
    """Whether the characters on both sides of `at` belong to one word."""
    return 0 < at < len(text) and _joins(text[at - 1]) and _joins(text[at])


def _joins(character: str) -> bool:
    """Whether it is a letter, a digit or a mark of a script that parts words; in the others a word is found wherever
    its letters are."""
    code = ord(character)
    return (character.isalnum() or unicodedata.category(character)[0] == "M") and not any(
        low <= code <= high for low, high in UNSPACED_BLOCKS
    )
