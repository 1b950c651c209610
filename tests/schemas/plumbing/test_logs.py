"""Log lines go to what standard error is when they are written."""

from __future__ import annotations

import io
import sys

import structlog

from schemas.plumbing.logs import configure_logs


def test_a_standard_error_that_was_replaced_and_closed_is_forgotten(monkeypatch):
    log = structlog.get_logger()
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    configure_logs()
    log.info("one")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    log.info("two")
    assert '"event": "two"' in second.getvalue()
