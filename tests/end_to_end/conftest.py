"""A small real crawl for whole runs: pages of the installed packages' documentation, fetched over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_jobs.fetch import DEMO_HOST, FetchConfig, crawl
from spark_jobs.local_site import serve
from spark_jobs.package_docs import SiteConfig, package_site

CORPUS = Path(sys.executable).parent / "corpus"
MODULES, LICENCES = 60, 20


@pytest.fixture(scope="session")
def small_crawl(tmp_path_factory) -> str:
    """A glob of two WARC files: pages of modules, licences under two addresses each, and an address that is not there."""
    site = package_site(SiteConfig(max_pages=100, max_modules_per_package=2))
    licences = [path for path in site if "licence" in path][: 2 * LICENCES]
    modules = [path for path in site if path.endswith(".html") and "licence" not in path][:MODULES]
    urls = [f"http://{DEMO_HOST}{path}" for path in (*modules, *licences, "/missing.html")]
    folder = tmp_path_factory.mktemp("crawl")
    with serve(site) as address:
        crawl(urls, folder, name="small", config=FetchConfig(max_pages=len(urls), delay_seconds=0, files=2), connect_to={DEMO_HOST: address})
    return f"{folder}/*.warc.gz"


def corpus(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `corpus` as a user does, and return what it printed."""
    return subprocess.run([str(CORPUS), *map(str, arguments)], capture_output=True, text=True, check=False, env=os.environ)
