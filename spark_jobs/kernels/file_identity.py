"""Which file it is that a configuration names: by its bytes for the ledger, by time and size for a worker that has
read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from schemas.plumbing.errors import UsageError

type Versions = tuple[tuple[int, int], ...]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex; raises `UsageError` where it is missing."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_versions(paths: Iterable[Path]) -> Versions:
    """Time of change and size of each file, (0, 0) of one that is missing: by these a worker that has read them sees
    that they are others now."""
    stats = (path.stat() if path.is_file() else None for path in paths)
    return tuple((found.st_mtime_ns, found.st_size) if found is not None else (0, 0) for found in stats)
