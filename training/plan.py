"""The order of training data: which sequence of which source is sample `i`, as a pure function of the plan.

Sequence `k` of a source is tokens `[k S, k S + S]` of its documents laid end to end: `S` inputs and, shifted by one, `S` targets. Within an epoch
the sources run side by side, in proportion to their size. The first epoch is the stored order, which is a shuffled one; later epochs permute.
The position of a run is one integer, the number of batches behind it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from training.order import permute_in_blocks


@dataclass(frozen=True)
class Source:
    """A source and the number of its tokens."""

    name: str
    tokens: int


@dataclass(frozen=True)
class Sample:
    """A sequence: `index` is its place in the stored order of `source`."""

    source: str
    index: int
    epoch: int


@dataclass(frozen=True)
class Plan:
    """All that decides the order; independent of ranks, of the length of the run, and of how files are cut."""

    tokens_version: int
    sources: tuple[Source, ...]
    sequence_length: int
    batch_sequences: int
    shuffle_block: int
    seed: int

    @property
    def sequences(self) -> tuple[int, ...]:
        """Sequences of each source in one epoch; a source's last token is a target only."""
        return tuple(max(0, (source.tokens - 1) // self.sequence_length) for source in self.sources)

    @property
    def epoch_sequences(self) -> int:
        return sum(self.sequences)

    def hash(self) -> str:
        """SHA-256, in hex: equal plans give equal batches."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def sample(self, position: int) -> Sample:
        """The sample at a position from the start of training, counted in sequences."""
        epoch, place = divmod(position, self.epoch_sequences)
        sizes = self.sequences
        source, index = interleave(place, sizes)
        name = self.sources[source].name
        if epoch > 0:
            index = permute_in_blocks(index, sizes[source], self.shuffle_block, self.seed, name, epoch)
        return Sample(name, index, epoch)

    def batch(self, batch: int, rank: int = 0, ranks: int = 1) -> Iterator[Sample]:
        """The samples of global batch `batch`, or the slice of it that data-parallel rank `rank` of `ranks` computes."""
        share = self.batch_sequences // ranks
        first = batch * self.batch_sequences + rank * share
        return (self.sample(position) for position in range(first, first + share))


def interleave(place: int, sizes: tuple[int, ...]) -> tuple[int, int]:
    """The `place`-th of all items when item `k` of a series of `n` stands at (2 k + 1) / 2 n: (series, k).

    So each prefix holds every series in proportion. Ties go to the earlier series. Exact integers throughout.
    """
    for series, size in enumerate(sizes):
        low, high = 0, size - 1
        while low <= high:
            middle = (low + high) // 2
            found = _items_before(series, middle, sizes)
            if found == place:
                return series, middle
            if found < place:
                low = middle + 1
            else:
                high = middle - 1
    raise IndexError(f"place {place} of {sum(sizes)}")


def _items_before(series: int, item: int, sizes: tuple[int, ...]) -> int:
    count = 0
    for other, size in enumerate(sizes):
        # k' is before where (2 k' + 1) * own < (2 item + 1) * size, or equal and the other series is earlier.
        own, target = sizes[series], (2 * item + 1) * size
        if other == series:
            count += item
        elif other < series:
            count += min(size, (target // own + 1) // 2)
        else:
            count += min(size, ((target - 1) // own + 1) // 2)
    return count
