"""The reference pages are generated; this holds them to the declarations."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def write_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", DOCS / "write_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = {f"docs/reference/{name}": text for name, text in write_reference().pages().items()}
SECTIONS = write_reference().sections()


@pytest.mark.parametrize("path", PAGES)
def test_a_reference_page_is_what_the_declarations_say(path):
    assert (DOCS.parent / path).read_text(encoding="utf-8") == PAGES[path], "run `make docs`"


@pytest.mark.parametrize("path", SECTIONS)
def test_the_written_sections_of_a_page_are_what_the_declarations_say(path):
    assert (DOCS.parent / path).read_text(encoding="utf-8") == SECTIONS[path], "run `make docs`"


def test_no_page_of_the_reference_is_left_from_before():
    assert {f"docs/reference/{page.name}" for page in (DOCS / "reference").iterdir()} == set(PAGES)
