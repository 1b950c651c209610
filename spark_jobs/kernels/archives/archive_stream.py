"""The bytes of a plain or gzip-compressed archive as one stream that knows where it is, and that can go on behind
damage.

A record's address is the offset of its gzip member (or of its first byte in a plain file), so the stream keeps the
two apart and reports the member of the next unread byte. Memory is bounded by two pieces, however far a member
expands.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import BinaryIO

PIECE_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b\x08"


@dataclass(frozen=True, slots=True)
class Damage:
    """Where the compressed bytes stop making sense, and how."""

    offset: int
    detail: str


class ArchiveStream:
    """Reads `file` (seekable, at its beginning); `damage` is set, and reads come back short, where gzip data are
    broken."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._raw = file.read(PIECE_BYTES)
        self._raw_offset = 0
        self._gzip = self._raw.startswith(GZIP_MAGIC[:2])
        self._inflater: zlib._Decompress | None = None
        self._member_offset = 0
        self._buffer = b""
        self._buffer_offset = 0
        self._at = 0
        self.damage: Damage | None = None

    @property
    def offset(self) -> int:
        """Offset in the file of the next unread byte, or of the gzip member that holds it."""
        if not self._gzip:
            return self._buffer_offset + self._at
        return self._member_offset if self._at < len(self._buffer) or self._inflater is not None else self._raw_offset

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes from here, without moving; fewer near the end of the file, of a gzip member or at
        damage."""
        while len(self._buffer) - self._at < count:
            at_member_end = self._gzip and self._inflater is None and self._at < len(self._buffer)
            if at_member_end or not self._fill():
                break
        return self._buffer[self._at : self._at + count]

    def read(self, count: int, stop_before: bytes = b"") -> bytes:
        """Up to `count` bytes; ends early at the end, at damage, and where a gzip member begins with `stop_before`."""
        pieces = []
        while count > 0 and (piece := self._take(count, stop_before)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def skip(self, count: int, stop_before: bytes = b"") -> int:
        """Move on by up to `count` bytes under the rules of `read`; returns how many were passed."""
        passed = 0
        while passed < count and (piece := self._take(min(count - passed, PIECE_BYTES), stop_before)):
            passed += len(piece)
        return passed

    def read_line(self, limit: int = PIECE_BYTES) -> bytes:
        """Up to and including the next line feed, at most `limit` bytes, not beyond the end of a gzip member; empty
        at the end."""
        seen = self.peek(256)
        end = seen.find(b"\n")
        if end < 0:
            seen = self.peek(limit)
            end = seen.find(b"\n")
        line = seen if end < 0 else seen[: end + 1]
        self._at += len(line)
        return line

    def unread(self, data: bytes) -> None:
        """Put back bytes that were read last."""
        self._buffer_offset += self._at - len(data)
        self._buffer = data + self._buffer[self._at :]
        self._at = 0

    def recover(self, opening: re.Pattern[bytes]) -> bool:
        """After damage: go to the next gzip member whose content matches `opening`; False where there is none."""
        if self.damage is None:
            return False
        position = self.damage.offset + 1
        while (position := self._find_magic(position)) >= 0:
            self._file.seek(position)
            head = self._file.read(PIECE_BYTES)
            try:
                content = zlib.decompressobj(31).decompress(head, 4096)
            except zlib.error:
                content = b""
            if opening.match(content):
                self._raw, self._raw_offset, self._inflater = head, position, None
                self._buffer, self._at, self.damage = b"", 0, None
                return True
            position += 1
        return False

    def _find_magic(self, position: int) -> int:
        overlap = len(GZIP_MAGIC) - 1
        self._file.seek(position)
        window = self._file.read(PIECE_BYTES)
        while len(window) > overlap:
            found = window.find(GZIP_MAGIC)
            if found >= 0:
                return position + found
            position += len(window) - overlap
            window = window[-overlap:] + self._file.read(PIECE_BYTES)
        return -1

    def _take(self, count: int, stop_before: bytes) -> bytes:
        if self._at == len(self._buffer):
            between_members = self._gzip and self._inflater is None
            if not self._fill() or (between_members and stop_before and self._buffer.startswith(stop_before, self._at)):
                return b""
        piece = self._buffer[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def _fill(self) -> bool:
        """Add a piece to the buffer; in gzip never of another member than the unread bytes there."""
        unread = self._buffer[self._at :]
        piece = self._inflate(may_open=not unread) if self._gzip else self._raw or self._file.read(PIECE_BYTES)
        if not self._gzip:
            self._raw = b""
        self._buffer_offset += self._at
        self._buffer, self._at = unread + piece, 0
        return bool(piece)

    def _inflate(self, may_open: bool) -> bytes:
        while self.damage is None:
            if not self._raw:
                self._raw = self._file.read(PIECE_BYTES)
            if self._inflater is None:
                if not may_open or not self._raw:
                    return b""
                if len(self._raw) < len(GZIP_MAGIC):
                    self._raw += self._file.read(PIECE_BYTES)
                self._member_offset = self._raw_offset
                if not self._raw.startswith(GZIP_MAGIC):
                    self.damage = Damage(self._raw_offset, "bytes between gzip members that are not gzip")
                    return b""
                self._inflater = zlib.decompressobj(31)
            given = len(self._raw)
            try:
                piece = self._inflater.decompress(self._raw, PIECE_BYTES)
            except zlib.error as error:
                self.damage = Damage(self._member_offset, f"gzip data are damaged: {error}")
                return b""
            ended = self._inflater.eof
            self._raw = self._inflater.unused_data if ended else self._inflater.unconsumed_tail
            self._raw_offset += given - len(self._raw)
            if ended:
                self._inflater = None
            if piece:
                return piece
            if not ended and not given:
                self.damage = Damage(self._member_offset, "the file ends inside a gzip member")
        return b""
