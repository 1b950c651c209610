import gzip
from collections import Counter
from urllib.robotparser import RobotFileParser

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from schemas.plumbing.errors import UsageError
from spark_jobs.fetch.local_site import serve
from spark_jobs.fetch.package_docs import Resource, SiteConfig, package_site
from spark_jobs.fetch.pages import FetchConfig, crawl, links_of
from spark_jobs.kernels.archives.warc import read_records
from spark_jobs.kernels.pages.page_gate import offer

QUICK = FetchConfig(delay_seconds=0.0, files=2)


def page(*links: str, words: str = "") -> Resource:
    return Resource(
        f"<html><body><p>{words}</p>{''.join(f'<a href={link!r}>a</a>' for link in links)}</body></html>".encode()
    )


# The names of the pages are such that some are sent in chunks, some packed, some both.
SITE = {
    "/": page(
        "/moved",
        "b.html#part",
        "/missing",
        "/logo.png",
        "/private/x",
        "http://elsewhere.example/",
        "mailto:a@b.example",
        "/a b",
        "http://[bad",
    ),
    "/moved": Resource(b"", status=301, location="/c/"),
    "/b.html": page("/", words="second " * 3000),
    "/c/": page(*(f"{n}.html" for n in range(20))),
    **{f"/c/{n}.html": page("/", words=f"page {n} " * 2000) for n in range(20)},
    "/a%20b": page(),
    "/logo.png": Resource(b"\x89PNG", content_type="image/png"),
    "/private/x": page(),
    "/robots.txt": Resource(b"User-agent: *\nDisallow: /private/\n", content_type="text/plain"),
}


@pytest.fixture(scope="module")
def crawled(tmp_path_factory):
    with serve(SITE) as address:
        return crawl(
            ["http://site.example/"],
            tmp_path_factory.mktemp("crawl"),
            name="c",
            config=QUICK,
            connect_to={"site.example": address},
        )


def test_every_linked_page_is_fetched_once_and_robots_are_obeyed(crawled):
    assert crawled.statuses == Counter({200: 25, 404: 1, 301: 1})
    assert crawled.closed_by_robots == 1
    assert crawled.errors == Counter()


def test_the_files_are_valid_warc_1_1_with_right_digests(crawled):
    kinds = Counter()
    for path in crawled.warc_paths:
        with path.open("rb") as file:
            kinds.update(
                str(record.record_type) for record in FastIterator(file, parse_http=False, verify_digests=True)
            )
        with path.open("rb") as file:
            for record in WarcioIterator(file, check_digests="raise"):
                assert record.rec_headers.protocol == "WARC/1.1"
                record.content_stream().read()
        assert gzip.decompress(path.read_bytes()).startswith(b"WARC/1.1\r\nWARC-Type: warcinfo\r\n")
    assert kinds == Counter({"warcinfo": 2, "response": 27, "request": 27, "metadata": 27})


def test_pages_are_stored_as_sent_and_read_back_as_served(crawled):
    bodies, codings = {}, Counter()
    for path in crawled.warc_paths:
        with path.open("rb") as file:
            for record in read_records(file, 1 << 24):
                verdict = offer(record, 1 << 24)
                if record.type == "response" and verdict.status == "offered":
                    bodies[record.url.removeprefix("http://site.example")] = verdict.body
                    codings.update(
                        name
                        for name in (b"Content-Encoding: gzip", b"Transfer-Encoding: chunked")
                        if name in record.block
                    )
    assert bodies == {
        path: resource.body
        for path, resource in SITE.items()
        if resource.content_type.startswith("text/html") and path not in ("/moved", "/private/x")
    }
    assert codings[b"Content-Encoding: gzip"] > 0
    assert codings[b"Transfer-Encoding: chunked"] > 0


def test_a_repeated_crawl_gives_its_records_their_ids_again(crawled, tmp_path):
    with serve(SITE) as address:
        again = crawl(["http://site.example/"], tmp_path, name="c", config=QUICK, connect_to={"site.example": address})
    for first, second in zip(crawled.warc_paths, again.warc_paths, strict=True):
        with first.open("rb") as one, second.open("rb") as other:
            assert [r.record_id for r in read_records(one, 1 << 24)] == [
                r.record_id for r in read_records(other, 1 << 24)
            ]
            assert first.name == second.name


def test_the_number_of_pages_is_bounded_and_dead_hosts_are_counted(tmp_path):
    with serve(SITE) as address:
        config = QUICK.model_copy(update={"max_pages": 3})
        found = crawl(
            ["http://127.0.0.1:1/", "http://site.example/"],
            tmp_path,
            name="c",
            config=config,
            connect_to={"site.example": address},
        )
    assert sum(found.statuses.values()) == 3
    assert found.errors == Counter({"ConnectionRefusedError": 1})


def test_a_start_address_that_is_no_web_address_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"example\.com: a start address must begin with"):
        crawl(["example.com"], tmp_path, name="c", config=QUICK)


def test_links_of_a_page_are_absolute_and_without_fragments():
    links = b"<a href='x#y'>1</a><a href='x'>2</a><a href='javascript:z()'>3</a>"
    response = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + links
    assert links_of(response, "http://a.example/b/") == (200, ["http://a.example/b/x"])
    assert links_of(b"garbage", "http://a.example/") == (0, [])


def test_the_site_of_package_documentation_is_stable_linked_and_has_trouble_in_it():
    config = SiteConfig(max_pages=40, max_modules_per_package=2)
    site = package_site(config)
    assert site == package_site(config)
    documented = [path for path in site if path.endswith(".html") and "licence" not in path]
    assert 20 < len(documented) <= 40
    assert {resource.status for resource in site.values()} == {200, 301, 302}
    reached, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        if path in reached or path not in site:
            continue
        reached.add(path)
        resource = site[path]
        fields = f"Content-Type: {resource.content_type}\r\nLocation: {resource.location or ''}"
        head = f"HTTP/1.1 {resource.status} X\r\n{fields}\r\n\r\n".encode()
        waiting += [link.removeprefix("http://h") for link in links_of(head + resource.body, f"http://h{path}")[1]]
    assert set(site) - reached == {"/robots.txt", "/site.css"}
    rules = RobotFileParser()
    rules.parse(site["/robots.txt"].body.decode().splitlines())
    assert not rules.can_fetch("any", "/private/")
