"""Serve a site from memory on this machine, with the variety of answers that crawlers meet: keep-alive, chunks,
gzip, redirects, 404."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spark_jobs.fetch.package_docs import Resource

_CHUNK_BYTES = 4096


@contextmanager
def serve(site: Mapping[str, Resource]) -> Iterator[str]:
    """Serve `site` on a free local port while the context lasts; yields `host:port`."""

    class Handler(_SiteHandler):
        resources = site

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="local site", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _SiteHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer: a header that is sent ahead of its body waits for the client's delayed acknowledgement.
    wbufsize = -1
    resources: Mapping[str, Resource] = {}

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        resource = self.resources.get(
            path, Resource(b"<!DOCTYPE html><title>Not found</title><h1>Not found</h1>", status=404)
        )
        body = resource.body
        # The coding of a page depends on its address alone, so that a crawl can be repeated.
        choice = zlib.crc32(path.encode()) % 10
        self.send_response(resource.status)
        self.send_header("Content-Type", resource.content_type)
        if resource.location is not None:
            self.send_header("Location", resource.location)
        if choice in (0, 1) and body and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        if choice in (1, 2) and body:
            self.send_header("Transfer-Encoding", "chunked")
            chunks = [body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES)]
            body = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "headwater-local-site"

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the crawler reports."""
