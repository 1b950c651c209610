"""The newest numbers of a run for a Prometheus server, in its text format
(prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PREFIX = "headwater_"


class Endpoint:
    """Answers `GET /metrics` in a thread of its own. `port` 0 takes a free one; `address` says which."""

    def __init__(self, host: str, port: int, labels: Mapping[str, str]) -> None:
        self._labels = dict(labels)
        self._text = ""
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="prometheus", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/metrics"

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        # One assignment: a request sees one step's numbers, whole.
        self._text = exposition({**numbers, "step": step}, self._labels)

    def rewind(self, step: int) -> None:
        """Nothing: there is only ever the newest step."""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.split("?")[0] in ("/", "/metrics")
                body = endpoint._text.encode() if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler


def exposition(numbers: Mapping[str, float], labels: Mapping[str, str]) -> str:
    """Gauges, one family a group; what follows the `/` in a name is the label `of`."""
    families: dict[str, list[str]] = {}
    for name, value in sorted(numbers.items()):
        family, _, member = name.partition("/")
        family = PREFIX + re.sub(r"[^a-zA-Z0-9_]", "_", family)
        pairs = {**labels, **({"of": member} if member else {})}
        inside = ",".join(f'{key}="{_escape(text)}"' for key, text in pairs.items())
        families.setdefault(family, []).append(f"{family}{{{inside}}} {float(value)!r}")
    return "".join(
        f"# TYPE {family} gauge\n" + "".join(line + "\n" for line in lines) for family, lines in families.items()
    )


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
