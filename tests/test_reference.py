"""The reference pages are generated; this holds them to the declarations."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def generated_pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("write_reference", DOCS / "write_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


@pytest.mark.parametrize("name", ["tables.md", "pipeline.md", "training.md", "signals.md", "policies.md"])
def test_a_reference_page_is_what_the_declarations_say(name):
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == generated_pages()[name], "run `make docs`"
