"""The most memory that Python workers take while a crawl is curated: `python bench/worker_memory.py [WARC...]
[--pages N] [--extractor NAME]`.

The files are copied until there are N pages, all of one task slot, so that one worker and its extracting child see
every page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from curation import HERE, REAL_PAGES, command_headwater, count_responses
from peer_environment import REPOSITORY

SECONDS_BETWEEN_LOOKS = 1.0


def python_processes(root: psutil.Process) -> Iterator[tuple[str, int]]:
    """Kind and resident bytes of each Python process below `root`: the worker, or the child that extracts for it."""
    for process in root.children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            kind = (
                "extracting child" if "extraction_sandbox" in words else "worker" if "pyspark.daemon" in words else None
            )
            if kind is not None:
                yield kind, process.memory_info().rss
        except psutil.Error:
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "warc",
        nargs="*",
        type=Path,
        default=sorted(REAL_PAGES.glob("web-pages-*.warc.gz")),
        help="WARC files with HTML responses",
    )
    parser.add_argument("--pages", type=int, default=50_000, help="pages to curate, at least")
    parser.add_argument(
        "--extractor",
        default="headwater",
        help="resiliparse shows the worker in a fifth of the time; the extracting child is replaced anyway",
    )
    arguments = parser.parse_args()
    files: list[Path] = arguments.warc
    if not files:
        parser.error("no WARC files: name some")
    pages = sum(map(count_responses, files))
    copies = -(-arguments.pages // pages)
    most: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        folder = Path(name) / "pages"
        folder.mkdir()
        for copy in range(copies):
            for file in files:
                shutil.copyfile(file, folder / f"{copy}-{file.name}")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(HERE)))}
        started = time.monotonic()
        running = subprocess.Popen(
            command_headwater(folder, Path(name) / "lake", arguments.extractor),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        root = psutil.Process(running.pid)
        while running.poll() is None:
            for kind, size in python_processes(root):
                most[kind] = max(most.get(kind, 0), size)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.monotonic() - started
    print(f"{pages * copies:,} pages in {seconds:,.0f} s on one task slot, exit status {running.returncode}")
    for kind, size in sorted(most.items()):
        print(f"  {kind:<18}{size / 2**20:>8,.0f} MiB at most")
    sys.exit(running.returncode)


if __name__ == "__main__":
    main()
