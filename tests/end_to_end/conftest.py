"""A small real crawl for whole runs: pages of the installed packages' documentation, fetched over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = Path(sys.executable).parent / "corpus"


@pytest.fixture(scope="session")
def small_crawl(tmp_path_factory) -> str:
    """A glob of WARC files with about 150 responses."""
    folder = tmp_path_factory.mktemp("crawl")
    subprocess.run([CORPUS, "fetch", "--out", folder, "--max-pages", "150"], check=True, capture_output=True)
    return f"{folder}/*.warc.gz"


def corpus(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `corpus` as a user does, and return what it printed."""
    command = [str(CORPUS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
