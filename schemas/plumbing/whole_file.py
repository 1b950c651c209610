"""A text file that is there whole, or as it was before."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 to `NAME.part` beside `path`, and put it in the place of `path` in one step; the folder must be
    there.

    Whoever opens `path` reads all of the new text or all of the former one, also where the writer is killed or the
    disk is full. Nothing is flushed: after a loss of power the file may be empty. One process at a time writes a
    path. `OSError` where there is no room, or no right to write.
    """
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
