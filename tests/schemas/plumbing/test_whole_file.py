"""A file that is written whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.plumbing.whole_file import write_whole


def test_a_text_takes_the_place_of_the_former_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("the former one, and longer", encoding="utf-8")
    write_whole(path, "Grüße\n")
    assert {found.name: found.read_text(encoding="utf-8") for found in tmp_path.iterdir()} == {
        "summary.json": "Grüße\n"
    }


def test_a_write_that_fails_leaves_the_former_text(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("the former one", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "cut short here: \udc80")
    assert path.read_text(encoding="utf-8") == "the former one"


def test_files_that_differ_in_their_endings_alone_have_parts_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "step-1.json.part").mkdir()
    write_whole(tmp_path / "step-1.md", "# Step 1\n")
    assert (tmp_path / "step-1.md").read_text(encoding="utf-8") == "# Step 1\n"
