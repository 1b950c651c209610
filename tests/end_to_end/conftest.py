"""A small real crawl for whole runs: pages of the installed packages' documentation, fetched over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_jobs.fetch.local_site import serve
from spark_jobs.fetch.package_docs import SiteConfig, package_site
from spark_jobs.fetch.pages import DEMO_HOST, FetchConfig, crawl

COMMANDS = Path(sys.executable).parent
MODULES, LICENCES, LATER = 60, 20, 25


@pytest.fixture(scope="session")
def site() -> dict[str, bytes]:
    return package_site(SiteConfig(max_pages=100, max_modules_per_package=2))


@pytest.fixture(scope="session")
def small_crawl(site, tmp_path_factory) -> str:
    """A glob of two WARC files: pages of modules, licences under two addresses each, and an address that is not
    there."""
    licences = [path for path in site if "licence" in path][: 2 * LICENCES]
    return crawl_pages(
        site, [*module_pages(site)[:MODULES], *licences, "/missing.html"], tmp_path_factory.mktemp("crawl"), files=2
    )


@pytest.fixture(scope="session")
def later_crawl(site, tmp_path_factory) -> str:
    """Other pages of the same site."""
    return crawl_pages(site, module_pages(site)[MODULES : MODULES + LATER], tmp_path_factory.mktemp("later"), files=1)


def module_pages(site: dict[str, bytes]) -> list[str]:
    return [path for path in site if path.endswith(".html") and "licence" not in path]


def crawl_pages(site: dict[str, bytes], paths: list[str], folder: Path, files: int) -> str:
    config = FetchConfig(max_pages=len(paths), delay_seconds=0, files=files)
    with serve(site) as address:
        crawl(
            [f"http://{DEMO_HOST}{path}" for path in paths],
            folder,
            name="small",
            config=config,
            connect_to={DEMO_HOST: address},
        )
    return f"{folder}/*.warc.gz"


def corpus(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `corpus` as a user does, and return what it printed."""
    return _run("corpus", arguments)


def pretrain(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The same with `pretrain`."""
    return _run("pretrain", arguments)


def _run(command: str, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMANDS / command, *map(str, arguments)], capture_output=True, text=True, check=False, env=os.environ
    )
