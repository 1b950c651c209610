"""The oracle of substring deduplication: repeated windows of tokens by a suffix array over all texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydivsufsort import divsufsort, kasai


def repeated_tokens(texts: Sequence[Sequence[str]], length: int) -> list[np.ndarray]:
    """For each text, by priority, which of its tokens lie in a window of `length` tokens that has occurred before,
    in an earlier text or place."""
    vocabulary = {
        token: number for number, token in enumerate(dict.fromkeys(token for text in texts for token in text))
    }
    ids: list[int] = []
    for number, text in enumerate(texts):
        # A separator of its own after each text: no window that crosses it can occur twice.
        ids += [vocabulary[token] for token in text] + [len(vocabulary) + number]
    covered = np.zeros(len(ids) + 1, dtype=np.int64)
    if ids:
        array = np.array(ids, dtype=np.uint32)
        suffixes = divsufsort(array)
        common = kasai(array, suffixes)
        # Suffixes are equal in their first tokens as long as neighbours are.
        groups = np.concatenate([[0], np.cumsum(common[: len(ids) - 1] < length)])
        first = np.full(len(ids), len(ids))
        np.minimum.at(first, groups, suffixes)
        repeats = suffixes[suffixes != first[groups]]
        np.add.at(covered, repeats, 1)
        np.add.at(covered, repeats + length, -1)
    is_covered = np.cumsum(covered)[:-1] > 0
    ends = np.cumsum([len(text) + 1 for text in texts])
    return [is_covered[end - len(text) - 1 : end - 1] for end, text in zip(ends, texts, strict=True)]
