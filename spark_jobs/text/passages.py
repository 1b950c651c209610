"""Lines and paragraphs of a text as they are compared across documents: case, accents, punctuation and the values of numbers do not count.

The normalisation is that of CCNet's paragraph hashes (Wenzek et al. 2020, arXiv:1911.00359, section 3.1), as `comparable_words` does it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

import numpy as np

from spark_jobs.text.shingles import comparable_words
from spark_jobs.text.stretches import Stretches, stretches_of

type Unit = Literal["line", "paragraph"]


def passages(text: str, unit: Unit, least_characters: int) -> Stretches:
    """The lines or paragraphs whose words, with a space between them, make at least so many characters; the line feeds that end one belong to it."""
    contents, places = [], []
    for match in _pattern(unit).finditer(text):
        compared = b" ".join(comparable_words(match["content"]))
        if len(compared.decode()) >= least_characters:
            contents.append(compared)
            places.append(match.span())
    starts, ends = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return stretches_of(contents, starts, ends)


@cache
def _pattern(unit: Unit) -> re.Pattern[str]:
    line = r"[^\n]+"
    content = line if unit == "line" else rf"{line}(?:\n{line})*"
    return re.compile(rf"(?P<content>{content})\n*")
