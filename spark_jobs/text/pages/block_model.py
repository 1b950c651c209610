"""Gradient-boosted trees in numpy: how likely each block of a page is main content.

A page is a few hundred blocks, too few to pay for a walk down each tree in Python. Instead all comparisons of all trees are made at once, and each one
that fails rules out the leaves on its left: the first leaf left over is the tree's answer (QuickScorer, Lucchese et al. 2015, SIGIR).
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


@dataclass(frozen=True)
class BlockModel:
    """Splits of all trees in one row, tree after tree."""

    names: tuple[str, ...]
    """Names of the features, in the order of the columns that the trees look at."""
    columns: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float32]
    survivors: npt.NDArray[np.uint32]
    """The leaves of the tree that remain where a value is above the threshold."""
    starts: npt.NDArray[np.int64]
    """Place of each tree's first split."""
    values: npt.NDArray[np.float64]
    """(trees, MAX_LEAVES): what each leaf adds to the log odds."""
    bias: float

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(rows,) for features (rows, columns)."""
        pieces = [self._log_odds(features[start : start + _ROWS]) for start in range(0, len(features), _ROWS)]
        return 1 / (1 + np.exp(-np.concatenate(pieces))) if pieces else np.zeros(0)

    def _log_odds(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        passed = np.ascontiguousarray(features.T)[self.columns] <= self.thresholds[:, None]
        remaining = np.bitwise_and.reduceat(np.where(passed, np.uint32(0xFFFFFFFF), self.survivors[:, None]), self.starts, axis=0)
        lowest = remaining & (~remaining + np.uint32(1))
        leaves = np.log2(lowest.astype(np.float64)).astype(np.int64)
        found: npt.NDArray[np.float64] = np.take_along_axis(self.values, leaves, axis=1).sum(axis=0) + self.bias
        return found


@cache
def block_model() -> BlockModel:
    """The model that is part of the package; `bench/train_main_content.py` makes it."""
    model = json.loads(files(__package__).joinpath("block_model.json").read_text(encoding="utf-8"))
    starts = np.cumsum([0, *(len(tree["columns"]) for tree in model["trees"])])[:-1]
    values = np.zeros((len(model["trees"]), MAX_LEAVES))
    for row, tree in zip(values, model["trees"], strict=True):
        row[: len(tree["values"])] = tree["values"]

    def joined(key: str) -> list[float]:
        return [number for tree in model["trees"] for number in tree[key]]

    return BlockModel(
        names=tuple(model["features"]),
        columns=np.array(joined("columns"), dtype=np.int64),
        thresholds=np.array(joined("thresholds"), dtype=np.float32),
        survivors=np.array(joined("survivors"), dtype=np.uint32),
        starts=starts,
        values=values,
        bias=model["bias"],
    )
