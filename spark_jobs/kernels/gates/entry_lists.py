"""Lists in plain files: one entry a line, in UTF-8; blank lines and lines that begin with `#` hold none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import file_sha256


def read_entries(path: Path) -> Iterator[str]:
    """The entries of a list, without the white space around them; `UsageError` where there is no such file, or it
    holds no entry."""
    found = False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            for line in lines:
                entry = line.strip()
                if entry and not entry.startswith("#"):
                    found = True
                    yield entry
    except OSError as error:
        raise UsageError(f"{path}: no list can be read there: {error.strerror}") from None
    if not found:
        raise UsageError(f"{path}: the list holds no entry")


def list_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Path of each list to its SHA-256 in hex, for the ledger; the errors of `read_entries`."""
    digests = {}
    for path in paths:
        next(read_entries(path))
        digests[str(path)] = file_sha256(path)
    return digests
