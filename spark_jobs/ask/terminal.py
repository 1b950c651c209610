"""Text for a terminal: in columns, and without what would control it."""

from __future__ import annotations

from collections.abc import Iterable

type Lines = Iterable[tuple[str, str]]
"""Names and values; a value may have several lines."""


def aligned(lines: Lines) -> str:
    """Names in one column, values in the next; a value of several lines stays in its column."""
    rows = [(name, value.split("\n")) for name, value in lines]
    width = max((len(name) for name, _ in rows), default=0) + 2
    return "\n".join(
        f"{name if i == 0 else '':<{width}}{printable(part)}".rstrip()
        for name, parts in rows
        for i, part in enumerate(parts)
    )


def printable(text: str) -> str:
    """The text with a sign in place of each character that is not for the eye: control characters of a page must not
    reach the terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
