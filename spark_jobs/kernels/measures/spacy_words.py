"""Words of a text as spaCy's tokenizer for the language splits them: the tokenizer that datatrove uses for English
and most other languages.

Some thirty times as slow as `words.split_words`, which agrees with it on nearly all decisions; it is here to
reproduce published results to the letter.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from spark_jobs.kernels.measures.words import split_words

if TYPE_CHECKING:
    from spacy.language import Language

ANY_LANGUAGE = "xx"
"""spaCy's name for rules that hold in most languages."""

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my"})
"""Languages whose words spaCy finds only with a dictionary, if at all."""


def split_words_by_spacy(text: str, language: str = "en") -> list[str]:
    """Tokens of `text` in order, none empty or blank. A language that spaCy does not know is split by its general
    rules, one without spaces by ours.

    Raises `ModuleNotFoundError` where spaCy is not installed (`headwater[pii]`).
    """
    if language in WITHOUT_SPACES:
        return split_words(text)
    pipeline = _pipeline(language)
    with pipeline.memory_zone():
        # The name of one of its own symbols stops the tokenizer; datatrove cuts it out as well.
        tokens = [token.text for token in pipeline.tokenizer(text.replace("IS_ALPHA", ""))]
    return [stripped for token in tokens if (stripped := token.strip())]


@cache
def _pipeline(language: str) -> Language:
    import spacy

    try:
        return spacy.blank(language)
    except ImportError:
        return spacy.blank(ANY_LANGUAGE)
