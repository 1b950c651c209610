"""Gradient-boosted trees in numpy: how likely each block of a page is main content.

A page is a few hundred blocks, too few to pay for a walk down each tree in Python. Instead all comparisons of all
trees are made at once, and each one that fails rules out the leaves on its left: the first leaf left over is the
tree's answer (QuickScorer, Lucchese et al. 2015, SIGIR).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

MAX_LEAVES = 32
"""Leaves of one tree: one bit each of a 32-bit number, the leftmost leaf the lowest."""
_ROWS = 512


_EXPONENT_BITS, _EXPONENT_BIAS = 23, 127
"""Where a 32-bit float has its exponent."""
_ALL = 0xFFFFFFFF


@dataclass(frozen=True)
class BlockModel:
    """Comparisons of a feature with a threshold, and trees that are made of them; trees share the comparisons that
    are equal."""

    names: tuple[str, ...]
    """Names of the features, in the order of the columns that the comparisons look at."""
    columns: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float32]
    splits: npt.NDArray[np.int64]
    """(trees, splits): the comparison that each split makes."""
    survivors: npt.NDArray[np.uint32]
    """(trees, splits): the leaves of the tree that remain where a value is above the threshold; all of them for a
    split that fills up a smaller tree."""
    values: npt.NDArray[np.float64]
    """(trees, leaves): what each leaf adds to the log odds."""
    bias: float

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(rows,) for features (rows, columns)."""
        pieces = [self._log_odds(features[start : start + _ROWS]) for start in range(0, len(features), _ROWS)]
        return 1 / (1 + np.exp(-np.concatenate(pieces))) if pieces else np.zeros(0)

    def _log_odds(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        above = np.ascontiguousarray(features.T)[self.columns] > self.thresholds[:, None]
        # All bits where a value is not above, none where it is.
        kept = above.astype(np.uint32) - np.uint32(1)
        remaining = np.full((len(self.splits), len(features)), _ALL, dtype=np.uint32)
        for split, survivors in zip(self.splits.T, self.survivors.T, strict=True):
            remaining &= kept[split] | survivors[:, None]
        lowest = remaining & (~remaining + np.uint32(1))
        leaves = (lowest.astype(np.float32).view(np.uint32) >> np.uint32(_EXPONENT_BITS)).astype(
            np.int64
        ) - _EXPONENT_BIAS
        places = leaves + np.arange(len(leaves))[:, None] * self.values.shape[1]
        found: npt.NDArray[np.float64] = self.values.ravel()[places].sum(axis=0) + self.bias
        return found


@cache
def block_model() -> BlockModel:
    """The model that is part of the package; `bench/train_main_content.py` makes it."""
    model = json.loads(files(__package__).joinpath("block_model.json").read_text(encoding="utf-8"))
    trees = model["trees"]
    known: dict[tuple[int, float], int] = {}
    size = max(len(tree["columns"]) for tree in trees)
    splits, survivors = np.zeros((len(trees), size), dtype=np.int64), np.full((len(trees), size), _ALL, dtype=np.uint32)
    values = np.zeros((len(trees), MAX_LEAVES))
    for place, tree in enumerate(trees):
        own = [
            known.setdefault(comparison, len(known))
            for comparison in zip(tree["columns"], tree["thresholds"], strict=True)
        ]
        splits[place, : len(own)] = own
        survivors[place, : len(own)] = tree["survivors"]
        values[place, : len(tree["values"])] = tree["values"]
    return BlockModel(
        names=tuple(model["features"]),
        columns=np.array([column for column, _ in known], dtype=np.int64),
        thresholds=np.array([threshold for _, threshold in known], dtype=np.float32),
        splits=splits,
        survivors=survivors,
        values=values,
        bias=model["bias"],
    )
