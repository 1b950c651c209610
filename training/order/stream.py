"""The endless stream of one part of a source: its stored order once, and then epoch after epoch with its blocks in
another order.

A position of the stream stands for a stored token that is read, with the one stored after it as its target. Whatever
becomes of a run, what a part has given so far is one integer: how many positions of the stream are behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from training.order.permutation import permute, round_keys, unpermute

type Span = tuple[int, int]
"""[start, end) of stored tokens, or of positions."""


@dataclass(frozen=True)
class Stream:
    """`length` positions an epoch, in blocks of `block`; `key` names the orders of the blocks."""

    length: int
    block: int
    key: tuple[int | str, ...]

    def stored(self, start: int, end: int) -> Iterator[Span]:
        """The stored tokens at positions `[start, end)`, in order, as few spans as there are."""
        while start < end:
            epoch, place = divmod(start, self.length)
            first, left = self._stored_at(epoch, place)
            taken = min(left, end - start)
            yield first, first + taken
            start += taken

    def positions(self, epoch: int, start: int, end: int) -> Iterator[Span]:
        """Where in the stream stored tokens `[start, end)` stand in an epoch, in their order; the inverse of
        `stored`."""
        while start < end:
            block, offset = divmod(start, self.block)
            size = min(end, (block + 1) * self.block) - start if epoch else end - start
            slot_start = (
                self._start_of_slot(epoch, unpermute(block, self._blocks, self._keys(epoch))) + offset
                if epoch
                else start
            )
            yield epoch * self.length + slot_start, epoch * self.length + slot_start + size
            start += size

    @property
    def _blocks(self) -> int:
        return -(-self.length // self.block)

    def _keys(self, epoch: int) -> tuple[int, ...]:
        return round_keys(*self.key, epoch, "blocks")

    def _stored_at(self, epoch: int, place: int) -> tuple[int, int]:
        """The stored token at a place of an epoch, and how many are read on from there."""
        if epoch == 0:
            return place, self.length - place
        missing = self._blocks * self.block - self.length
        # The last block is short, and takes part like all others.
        short_slot = unpermute(self._blocks - 1, self._blocks, self._keys(epoch))
        if place < short_slot * self.block:
            slot = place // self.block
        elif place < (short_slot + 1) * self.block - missing:
            slot = short_slot
        else:
            slot = (place + missing) // self.block
        block = permute(slot, self._blocks, self._keys(epoch))
        offset = place - self._start_of_slot(epoch, slot)
        size = self.block - (missing if block == self._blocks - 1 else 0)
        return block * self.block + offset, size - offset

    def _start_of_slot(self, epoch: int, slot: int) -> int:
        short_slot = unpermute(self._blocks - 1, self._blocks, self._keys(epoch))
        missing = self._blocks * self.block - self.length
        return slot * self.block - (missing if slot > short_slot else 0)
