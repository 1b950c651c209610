"""Scalars as an event file, which TensorBoard reads; written here byte by byte, so that nothing needs to be
installed on a cluster.

The file is a sequence of records: length (uint64), masked CRC-32C of the length, data, masked CRC-32C of the data
(all little endian; TensorFlow, tensorflow/core/lib/io/record_writer.cc). The data are `Event` messages in protocol
buffers' wire format (tensorboard/compat/proto/event.proto).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

VERSION = b"brain.Event:2"
CASTAGNOLI = 0x82F63B78
"""Polynomial of CRC-32C, bits reversed (RFC 3720, appendix B.4)."""
MASK_DELTA = 0xA282EAD8
"""Added to a rotated checksum, so that checksums of data that hold checksums stay useful
(tensorflow/core/lib/hash/crc32c.h)."""

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types
SESSION_START = 1


class EventFile:
    """An open event file in `folder`, of a run that has `step` steps behind it."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}").open("wb")
        self._write(event(time.time(), 0, _field(3, BYTES, VERSION)))
        self.rewind(step)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        self._write(event(time.time(), step, _field(5, BYTES, scalars(numbers))))

    def rewind(self, step: int) -> None:
        """What was written for later steps, here or in former files of the folder, is no longer shown."""
        self._write(event(time.time(), step + 1, _field(7, BYTES, _field(1, VARINT, SESSION_START))))

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(record(data))
        self._file.flush()


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_checksum(length)) + data + struct.pack("<I", masked_checksum(data))


def event(wall_time: float, step: int, content: bytes) -> bytes:
    """An `Event`: seconds since 1970, step, and the field that says what happened."""
    return _field(1, DOUBLE, wall_time) + _field(2, VARINT, step) + content


def scalars(numbers: Mapping[str, float]) -> bytes:
    """A `Summary` with a value (1) of tag (1) and simple_value (2) for each number."""
    return b"".join(
        _field(1, BYTES, _field(1, BYTES, tag.encode()) + _field(2, FLOAT, value)) for tag, value in numbers.items()
    )


def masked_checksum(data: bytes) -> int:
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (CASTAGNOLI if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | kind)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if kind == VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if kind == DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
