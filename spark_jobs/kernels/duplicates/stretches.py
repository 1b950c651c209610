"""Stretches of a text and the digests that they are compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DIGEST_BYTES = 16

type Integers = npt.NDArray[np.int64]


class Stretches(NamedTuple):
    """Stretches of a text as columns of equal length."""

    high: Integers
    """First half of the digest, which is the first 128 bits of a SHA-256."""
    low: Integers
    """Its second half."""
    start: Integers
    """First character in the text."""
    end: Integers
    """The character after the last."""


def stretches_of(contents: Iterable[bytes | memoryview], start: Integers, end: Integers) -> Stretches:
    """Stretches by what is compared of each, and where each is."""
    digests = b"".join([hashlib.sha256(content).digest()[:DIGEST_BYTES] for content in contents])
    high, low = np.frombuffer(digests, dtype="<i8").reshape(-1, 2).T
    return Stretches(high, low, start, end)
