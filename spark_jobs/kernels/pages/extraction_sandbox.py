"""Main content extraction in a child process that may hang, crash or run out of memory.

HTML parsers run for minutes in C on hostile pages, where no Python exception or signal handler reaches them. So a
worker has one child, speaks to it over pipes, and kills it when a page exceeds its time; the page becomes an outcome
with a reason and the next page gets a new child. The child is also replaced every few hundred pages, since parsers
keep caches.

A message is four bytes of length, little-endian, and that many bytes. A request is the declared encoding, a line
feed, and the body; a reply is JSON.
"""

from __future__ import annotations

import json
import os
import selectors
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LENGTH = struct.Struct("<I")
_PIECE_BYTES = 1 << 16
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Importing an extractor takes seconds on a busy machine; it happens once a child and is no page's fault.
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Extraction:
    """What became of a page: `reason` is None and there is `text`, or the page failed for `reason`, in words `detail`.

    `date` is the day of publication as YYYY-MM-DD; `page_type` is one of `page_type.PAGE_TYPES`.
    """

    text: str | None = None
    title: str | None = None
    author: str | None = None
    date: str | None = None
    page_type: str | None = None
    charset: str | None = None
    reason: str | None = None
    detail: str | None = None


class ChildStopped(Exception):
    """The child ended, or did not answer in time."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__("no answer in time" if timed_out else "the process ended")
        self.timed_out = timed_out


class ExtractionSandbox:
    """Runs `extractor` (see `main_content.load_extractor`) in a child, one page at a time; a context manager that
    ends the child.

    Pages with fewer than `min_words` words in all get the fast extractor's text (see
    `main_content.fast_text_first`).
    """

    def __init__(
        self,
        extractor: str,
        *,
        max_seconds: float,
        max_memory_mib: int,
        pages_per_child: int,
        max_resident_mib: int = 1024,
        min_words: int = 0,
    ) -> None:
        self._extractor = extractor
        self._max_seconds = max_seconds
        self._max_memory_mib = max_memory_mib
        self._pages_per_child = pages_per_child
        self._max_resident_mib = max_resident_mib
        self._min_words = min_words
        self._child: subprocess.Popen[bytes] | None = None
        self._pages = 0

    def __enter__(self) -> ExtractionSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def extract(self, body: bytes, charset: str | None) -> Extraction:
        """Text and metadata of the page; reasons are `timeout`, `out_of_memory`, `crashed` and `extractor_error`."""
        if self._child is None or self._pages >= self._pages_per_child:
            self.stop()
            self._child = self._start()
        self._pages += 1
        try:
            reply = self._exchange(self._child, (charset or "").encode() + b"\n" + body, self._max_seconds)
        except ChildStopped as stop:
            status = self._end(self._child, grace_seconds=0.0 if stop.timed_out else 1.0)
            self._child = None
            if stop.timed_out:
                return Extraction(reason="timeout", detail=f"extraction did not end within {self._max_seconds:g} s")
            return Extraction(reason="crashed", detail=f"the extractor's process ended with status {status}")
        answer = Extraction(**json.loads(reply))
        if answer.reason == "out_of_memory" or _resident_mib(self._child.pid) > self._max_resident_mib:
            # A parser that has met a failed allocation may be in any state; one that has grown does not shrink.
            self.stop()
        return answer

    def stop(self) -> None:
        if self._child is not None:
            self._end(self._child)
            self._child = None

    def _start(self) -> subprocess.Popen[bytes]:
        # The worker may have got this package as an archive on its path, which a new interpreter does not know of.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        arguments = [self._extractor, str(self._max_seconds), str(self._max_memory_mib), str(self._min_words)]
        child = subprocess.Popen(
            [sys.executable, "-m", "spark_jobs.kernels.pages.extraction_sandbox", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert child.stdin is not None and child.stdout is not None
        os.set_blocking(child.stdin.fileno(), False)
        os.set_blocking(child.stdout.fileno(), False)
        self._pages = 0
        try:
            self._exchange(child, None, START_SECONDS)
        except ChildStopped as stop:
            status = self._end(child, grace_seconds=0.0 if stop.timed_out else 1.0)
            raise RuntimeError(
                f"extractor {self._extractor!r} does not start: {stop} (status {status}); its message is on standard "
                f"error"
            ) from None
        return child

    def _exchange(self, child: subprocess.Popen[bytes], request: bytes | None, max_seconds: float) -> bytes:
        """Send a request (None: only listen) and await the reply; neither direction may block beyond the deadline."""
        assert child.stdin is not None and child.stdout is not None
        deadline = time.monotonic() + max_seconds
        unsent = memoryview(b"" if request is None else _LENGTH.pack(len(request)) + request)
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if unsent:
                selector.register(child.stdin, selectors.EVENT_WRITE)
            while len(received) < _LENGTH.size or len(received) < _LENGTH.size + _LENGTH.unpack_from(received)[0]:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise ChildStopped(timed_out=True)
                for key, _ in ready:
                    if key.fileobj is child.stdout:
                        piece = os.read(child.stdout.fileno(), _PIECE_BYTES)
                        if not piece:
                            raise ChildStopped(timed_out=False)
                        received += piece
                        continue
                    try:
                        unsent = unsent[os.write(child.stdin.fileno(), unsent[:_PIECE_BYTES]) :]
                    except BrokenPipeError:
                        raise ChildStopped(timed_out=False) from None
                    if not unsent:
                        selector.unregister(child.stdin)
        return bytes(received[_LENGTH.size :])

    @staticmethod
    def _end(child: subprocess.Popen[bytes], grace_seconds: float = 0.0) -> int:
        """Kill the child, unless it ends by itself within the grace; returns its exit status, negative for a signal."""
        try:
            child.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        return child.wait()


def serve(
    requests: BinaryIO, replies: BinaryIO, extractor_name: str, max_seconds: float, max_memory_mib: int, min_words: int
) -> None:
    """The child: answer requests until the parent closes the pipe."""
    import faulthandler
    import resource

    from spark_jobs.kernels.pages.html import clean_text, decode_html
    from spark_jobs.kernels.pages.main_content import load_reader

    read_page = load_reader(extractor_name, min_words)
    resource.setrlimit(resource.RLIMIT_AS, (max_memory_mib << 20, max_memory_mib << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(10_000)
    _send(replies, b"ready")
    while header := requests.read(_LENGTH.size):
        # Should the worker be killed while a page hangs here, nobody is left to end this process.
        faulthandler.dump_traceback_later(max_seconds + 30, exit=True)
        charset, _, body = requests.read(_LENGTH.unpack(header)[0]).partition(b"\n")
        try:
            page, name = decode_html(body, charset.decode("ascii", "replace") or None)
            found = read_page(page)
            facts = found.metadata
            answer = {"text": clean_text(found.text), "title": facts.title, "author": facts.author, "date": facts.date}
            answer |= {"page_type": found.page_type, "charset": name}
            if not answer["text"] and _peak_memory_mib() > 0.8 * max_memory_mib:
                # Extractors catch MemoryError and return nothing; that must not pass for a page without text.
                raise MemoryError
        except MemoryError:
            answer = {"reason": "out_of_memory", "detail": f"extraction needs more than {max_memory_mib} MiB"}
        except Exception as error:
            answer = {"reason": "extractor_error", "detail": f"{type(error).__name__}: {error}"[:300]}
        faulthandler.cancel_dump_traceback_later()
        _send(replies, json.dumps(answer).encode())


def _resident_mib(process: int) -> float:
    """Resident memory of a process; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES / (1 << 20)
    except OSError:
        return 0.0


def _peak_memory_mib() -> float:
    """Most address space that this process has had; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmPeak:")), 0.0)
    except OSError:
        return 0.0


def _send(replies: BinaryIO, message: bytes) -> None:
    replies.write(_LENGTH.pack(len(message)) + message)
    replies.flush()


if __name__ == "__main__":
    # Extractors that print must not end up in the replies.
    replies_fd = os.dup(1)
    os.dup2(2, 1)
    serve(
        sys.stdin.buffer,
        os.fdopen(replies_fd, "wb"),
        sys.argv[1],
        float(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
    )
