"""A small crawler: follows links over HTTP, breadth first, and writes what it gets as WARC/1.1 with request,
response and metadata records.

One connection a host and one request at a time; robots.txt is obeyed. Meant for a documentation site or a few, not
for the open web.
"""

from __future__ import annotations

import http.client
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import lxml.html  # type: ignore[import-untyped]
from pydantic import Field

from schemas.plumbing.configuration import Config, UsageError
from spark_jobs.fetch.local_site import serve
from spark_jobs.fetch.package_docs import SiteConfig, package_site
from spark_jobs.kernels.archives.http_body import BodyError, decode_body, parse_response
from spark_jobs.kernels.archives.warc_writer import payload_digest, record_id, write_record
from spark_jobs.kernels.gates.url_keys import request_url
from spark_jobs.kernels.pages.html import HTML_TYPES

DEMO_HOST = "docs.localhost"
_MAX_BODY_BYTES = 16 << 20


class FetchConfig(Config):
    """How to crawl."""

    max_pages: int = Field(default=1000, ge=1)
    """Requests at most, robots.txt not counted."""
    same_host: bool = True
    """Follow links only to the hosts of the start addresses."""
    delay_seconds: float = Field(default=1.0, ge=0)
    """Pause between two requests."""
    timeout_seconds: float = Field(default=20.0, gt=0)
    """Longest silence of a server."""
    files: int = Field(default=8, ge=1)
    """WARC files to spread the pages over, in turn."""
    user_agent: str = "headwater/0.1"
    """Name that robots.txt files and servers see."""


@dataclass
class CrawlSummary:
    """What a crawl fetched: `statuses` counts responses by status code, `errors` addresses that gave none, by kind
    of error."""

    warc_paths: list[Path]
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    closed_by_robots: int = 0
    bytes_received: int = 0

    def lines(self) -> list[str]:
        answered = ", ".join(f"{count:,} with status {status}" for status, count in sorted(self.statuses.items()))
        unanswered = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.errors.items()))
        return [
            f"responses: {sum(self.statuses.values()):,} ({answered}), {self.bytes_received:,} bytes",
            *([f"without response: {unanswered}"] if unanswered else []),
            f"WARC files: {len(self.warc_paths)} in {self.warc_paths[0].parent}",
        ]


def crawl(
    start_urls: list[str], out_dir: Path, *, name: str, config: FetchConfig, connect_to: Mapping[str, str] | None = None
) -> CrawlSummary:
    """Crawl from `start_urls` and write `NAME-00000.warc.gz` and so on; files appear under their names when they are
    complete.

    `connect_to` maps hosts of addresses to the `host:port` where they are really served. Raises `UsageError` for a
    start address that is not http(s).
    """
    for url in start_urls:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise UsageError(f"{url}: a start address must begin with http:// or https://")
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = [out_dir / f"{name}-{number:05d}.warc.gz" for number in range(config.files)]
    summary = CrawlSummary(paths)
    with ExitStack() as stack:
        client = stack.enter_context(_Client(config, dict(connect_to or {})))
        files = [stack.enter_context(path.with_suffix(".open").open("wb")) for path in paths]
        for path, file in zip(paths, files, strict=True):
            about = f"software: {config.user_agent}\r\nformat: WARC File Format 1.1\r\nrobots: obeyed\r\n".encode()
            identity = record_id(name, path.name, "warcinfo")
            write_record(
                file,
                "warcinfo",
                identity,
                datetime.now(UTC),
                "application/warc-fields",
                about,
                {"WARC-Filename": path.name},
            )
        _follow(start_urls, files, name, config, client, summary)
    for path in paths:
        path.with_suffix(".open").replace(path)
    return summary


def crawl_package_docs(
    out_dir: Path,
    *,
    name: str = "package-docs",
    site: SiteConfig | None = None,
    files: int = 8,
    max_pages: int | None = None,
) -> CrawlSummary:
    """The demo's input: make the site of the installed packages' documentation, serve it on this machine, and crawl
    it."""
    resources = package_site(site or SiteConfig())
    config = FetchConfig(max_pages=max_pages or 4 * len(resources), delay_seconds=0.0, files=files)
    with serve(resources) as address:
        return crawl([f"http://{DEMO_HOST}/"], out_dir, name=name, config=config, connect_to={DEMO_HOST: address})


def _follow(
    start_urls: list[str],
    files: Sequence[BinaryIO],
    name: str,
    config: FetchConfig,
    client: _Client,
    summary: CrawlSummary,
) -> None:
    waiting = deque((url, "") for url in dict.fromkeys(map(request_url, start_urls)))
    seen = {url for url, _ in waiting}
    hosts = {urlsplit(url).netloc for url in seen}
    requests = 0
    while waiting and requests < config.max_pages:
        url, via = waiting.popleft()
        if not client.may_fetch(url):
            summary.closed_by_robots += 1
            continue
        if requests and config.delay_seconds:
            time.sleep(config.delay_seconds)
        date, started = datetime.now(UTC), time.monotonic()
        try:
            sent, received = client.get(url)
        except (OSError, http.client.HTTPException) as error:
            summary.errors[type(error).__name__] += 1
            continue
        facts = f"fetchTimeMs: {round(1000 * (time.monotonic() - started))}\r\n" + (f"via: {via}\r\n" if via else "")
        _write_exchange(files[requests % len(files)], name, url, date, sent, received, facts)
        requests += 1
        summary.bytes_received += len(received)
        status, links = links_of(received, url)
        summary.statuses[status] += 1
        for link in links:
            if link not in seen and (not config.same_host or urlsplit(link).netloc in hosts):
                seen.add(link)
                waiting.append((link, url))


def links_of(response: bytes, url: str) -> tuple[int, list[str]]:
    """Status, and the http(s) addresses that the response leads to, in order, without fragments; status 0 for what
    is no HTTP."""
    try:
        parsed = parse_response(response)
        if 300 <= parsed.status < 400:
            found = [parsed.fields["location"]] if "location" in parsed.fields else []
        elif parsed.status == 200 and parsed.mime in HTML_TYPES:
            body, _ = decode_body(parsed, _MAX_BODY_BYTES)
            found = (
                [str(link) for link in lxml.html.document_fromstring(body).xpath("//a/@href")] if body.strip() else []
            )
        else:
            found = []
    except BodyError:
        return 0, []
    except (ValueError, lxml.etree.LxmlError):
        return parsed.status, []
    links = []
    for link in found:
        try:
            links.append(request_url(urljoin(url, link)))
        except ValueError:
            continue
    return parsed.status, [link for link in dict.fromkeys(links) if link.startswith(("http://", "https://"))]


def _write_exchange(
    file: BinaryIO, name: str, url: str, date: datetime, sent: bytes, received: bytes, facts: str
) -> None:
    response_id = record_id(name, url, "response")
    target = {"WARC-Target-URI": url}
    about = target | {"WARC-Concurrent-To": response_id}
    write_record(
        file,
        "response",
        response_id,
        date,
        "application/http;msgtype=response",
        received,
        target | {"WARC-Payload-Digest": payload_digest(received)},
    )
    write_record(
        file, "request", record_id(name, url, "request"), date, "application/http;msgtype=request", sent, about
    )
    write_record(
        file, "metadata", record_id(name, url, "metadata"), date, "application/warc-fields", facts.encode(), about
    )


class _Client:
    """Connections that are kept open, and the robots.txt of each host."""

    def __init__(self, config: FetchConfig, connect_to: dict[str, str]) -> None:
        self._config = config
        self._connect_to = connect_to
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._robots: dict[tuple[str, str], RobotFileParser] = {}

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.close()

    def may_fetch(self, url: str) -> bool:
        """By the host's robots.txt; a host without one, or that cannot be asked, closes nothing (RFC 9309 section
        2.3.1.3)."""
        parts = urlsplit(url)
        site = (parts.scheme, parts.netloc)
        if site not in self._robots:
            rules = RobotFileParser()
            lines: list[str] = []
            try:
                response = parse_response(self.get(f"{parts.scheme}://{parts.netloc}/robots.txt")[1])
                lines = (
                    decode_body(response, 1 << 20)[0].decode("utf-8", "replace").splitlines()
                    if response.status == 200
                    else []
                )
            except (OSError, http.client.HTTPException, BodyError):
                lines = []
            rules.parse(lines)
            self._robots[site] = rules
        return self._robots[site].can_fetch(self._config.user_agent, url)

    def get(self, url: str) -> tuple[bytes, bytes]:
        """Request and response as they went over the wire; a connection that the server has closed meanwhile is
        opened again once."""
        parts = urlsplit(url)
        site = (parts.scheme, parts.netloc)
        if site in self._connections:
            try:
                return self._exchange(self._connections[site], url)
            except (ConnectionError, http.client.BadStatusLine):
                self._connections.pop(site).close()
        address = self._connect_to.get(parts.netloc, parts.netloc)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = self._connections[site] = kind(address, timeout=self._config.timeout_seconds)
        connection.response_class = _RecordedResponse
        try:
            return self._exchange(connection, url)
        except (OSError, http.client.HTTPException):
            self._connections.pop(site).close()
            raise

    def _exchange(self, connection: http.client.HTTPConnection, url: str) -> tuple[bytes, bytes]:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {
            "Host": parts.netloc,
            "User-Agent": self._config.user_agent,
            "Accept": "text/html,*/*;q=0.5",
            "Accept-Encoding": "gzip",
        }
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in fields.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert isinstance(response, _RecordedResponse)
        received = 0
        while piece := response.read(1 << 16):
            received += len(piece)
            if received > _MAX_BODY_BYTES:
                raise http.client.HTTPException(f"more than {_MAX_BODY_BYTES} bytes")
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode("ascii"), b"".join(response.recorded)


class _RecordedResponse(http.client.HTTPResponse):
    """Keeps the bytes as they arrive: a WARC stores chunks and codings, which the library undoes."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.recorded: list[bytes] = []
        self.fp: Any = _Recorder(self.fp, self.recorded)


class _Recorder:
    def __init__(self, source: Any, recorded: list[bytes]) -> None:
        self._source = source
        self._recorded = recorded

    def read(self, *size: int) -> bytes:
        return self._keep(self._source.read(*size))

    def read1(self, *size: int) -> bytes:
        return self._keep(self._source.read1(*size))

    def readline(self, *limit: int) -> bytes:
        return self._keep(self._source.readline(*limit))

    def readinto(self, buffer: Any) -> int:
        count: int = self._source.readinto(buffer)
        self._keep(bytes(memoryview(buffer)[:count]))
        return count

    def _keep(self, data: bytes) -> bytes:
        self._recorded.append(data)
        return data

    def flush(self) -> None:
        self._source.flush()

    def close(self) -> None:
        self._source.close()
