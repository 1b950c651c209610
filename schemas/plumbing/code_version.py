"""Which code made a table or a model."""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path


@cache
def code_version(package: str) -> str:
    """Version of Headwater and a hash of the sources of `package` and of the contracts, so that edited code never
    passes for the code that ran."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in (root / "schemas", root / package):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes())
    return f"{importlib.metadata.version('headwater')}+{digest.hexdigest()[:12]}"
