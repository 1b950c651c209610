"""The endless stream of a layer of an increment: epoch after epoch, the first in stored order and later ones with their
blocks in another order.

A position of the stream stands for a stored token that is read, with the one stored after it as its target. Whatever
becomes of a run, what a layer has given so far is one integer: how many positions of the stream are behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from training.order.layers import Layer, Runs, Span
from training.order.permutation import permute, round_keys, unpermute


@dataclass(frozen=True)
class Stream:
    """Epochs of `length` positions in blocks of `block`; `key` names the orders of the blocks.

    Each epoch holds the stored tokens `[0, length)`, or those that `layer` says: then `length` is the average. A
    `copy` is of documents that are read elsewhere too, so that its first epoch is not in stored order either.
    """

    length: int
    block: int
    key: tuple[int | str, ...]
    layer: Layer | None = None
    copy: bool = False

    @property
    def in_stored_order(self) -> int:
        """Positions up to which the order is the stored one, which is random already; where the length varies, up to
        about which."""
        return 0 if self.copy else self.length

    def start(self, epoch: int) -> int:
        """The first position of an epoch."""
        return self.layer.start(epoch) if self.layer else epoch * self.length

    def stored(self, start: int, end: int) -> Iterator[Span]:
        """The stored tokens at positions `[start, end)`, in order, as few spans as there are."""
        while start < end:
            epoch = self._epoch(self.layer.epoch_at(start) if self.layer else start // self.length)
            first, left = epoch.read_at(start - epoch.start)
            taken = min(left, end - start)
            yield from epoch.runs.stored(first, first + taken) if epoch.runs else [(first, first + taken)]
            start += taken

    def positions(self, epoch: int, start: int, end: int) -> Iterator[Span]:
        """Where in the stream those of stored tokens `[start, end)` stand that an epoch holds, in their order; the
        inverse of `stored`."""
        found = self._epoch(epoch)
        for low, high in found.runs.of_stored(start, end) if found.runs else [(start, end)]:
            for first, last in found.places(low, high):
                yield found.start + first, found.start + last

    def _epoch(self, number: int) -> Epoch:
        runs = self.layer.runs(number) if self.layer else None
        keys = round_keys(*self.key, number, "blocks") if number or self.copy else None
        return Epoch(self.start(number), runs.length if runs else self.length, self.block, keys, runs)


@dataclass(frozen=True)
class Epoch:
    """`length` positions from `start` on, which read what the epoch holds in blocks ordered by `keys`, or as it is
    stored where there are none."""

    start: int
    length: int
    block: int
    keys: tuple[int, ...] | None
    runs: Runs | None

    def read_at(self, place: int) -> tuple[int, int]:
        """Which of its tokens, in stored order, the epoch reads at a place, and how many it reads on from there."""
        if self.keys is None:
            return place, self.length - place
        # The last block is short, and takes part like all others.
        short_slot = unpermute(self._blocks - 1, self._blocks, self.keys)
        if place < short_slot * self.block:
            slot = place // self.block
        elif place < (short_slot + 1) * self.block - self._missing:
            slot = short_slot
        else:
            slot = (place + self._missing) // self.block
        block = permute(slot, self._blocks, self.keys)
        offset = place - self._start_of_slot(slot, short_slot)
        size = self.block - (self._missing if block == self._blocks - 1 else 0)
        return block * self.block + offset, size - offset

    def places(self, start: int, end: int) -> Iterator[Span]:
        """Where it reads those `[start, end)` of its tokens in stored order; the inverse of `read_at`."""
        if self.keys is None:
            yield start, end
            return
        short_slot = unpermute(self._blocks - 1, self._blocks, self.keys)
        while start < end:
            block, offset = divmod(start, self.block)
            size = min(end, (block + 1) * self.block) - start
            place = self._start_of_slot(unpermute(block, self._blocks, self.keys), short_slot) + offset
            yield place, place + size
            start += size

    @property
    def _blocks(self) -> int:
        return -(-self.length // self.block)

    @property
    def _missing(self) -> int:
        return self._blocks * self.block - self.length

    def _start_of_slot(self, slot: int, short_slot: int) -> int:
        return slot * self.block - (self._missing if slot > short_slot else 0)
