"""Lines and paragraphs of a text as they are compared across documents: case, accents, punctuation and the values of
numbers do not count.

The normalisation is that of CCNet's paragraph hashes (Wenzek et al. 2020, arXiv:1911.00359, section 3.1), as
`find_words` does it. Paragraphs end at blank lines; in a text that has none, as most extractors write it, every line
is one, as it is in CCNet.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache
from typing import Literal

import numpy as np

from spark_jobs.kernels.duplicates.shingles import find_words
from spark_jobs.kernels.duplicates.stretches import Stretches, stretches_of

type Unit = Literal["line", "paragraph"]


def passages(text: str, unit: Unit, least_characters: int) -> Stretches:
    """The lines or paragraphs whose words, with a space between them, make at least so many characters; the line
    feeds that end one belong to it."""
    words = find_words(text)
    strings, line_of_word = (
        words.strings(),
        np.searchsorted(np.flatnonzero(words.characters == ord("\n")), words.starts).tolist(),
    )
    contents, places, line, word = [], [], 0, 0
    for match in _pattern(unit if "\n\n" in text else "line").finditer(text):
        line += match["before"].count("\n") + match["content"].count("\n")
        after = bisect_right(line_of_word, line, lo=word)
        compared = " ".join(strings[word:after])
        if len(compared) >= least_characters:
            contents.append(compared.encode("utf-8", "surrogatepass"))
            places.append((match.start("content"), match.end()))
        line += match["after"].count("\n")
        word = after
    starts, ends = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return stretches_of(contents, starts, ends)


@cache
def _pattern(unit: Unit) -> re.Pattern[str]:
    line = r"[^\n]+"
    content = line if unit == "line" else rf"{line}(?:\n{line})*"
    return re.compile(rf"(?P<before>\n*)(?P<content>{content})(?P<after>\n*)")
