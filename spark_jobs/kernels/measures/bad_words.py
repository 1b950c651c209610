"""Lists of bad words, one file a language, in the layout of the list that C4 used (LDNOOBW): the file's name is the
language, each line a word or phrase."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import Versions, file_sha256, file_versions
from spark_jobs.kernels.gates.keyword_search import KeywordSearch

ALLOWED: Final = frozenset({"sm", "\u30b0\u30ed", "\u5973\u306e\u5b50", "\u6027"})
"""Entries for Japanese and Chinese that C4's code leaves out: parts of everyday words, each of which would reject a
tenth of all documents."""


class BadWords:
    """The lists of a folder."""

    def __init__(self, lists: dict[str, KeywordSearch]) -> None:
        self._lists = lists

    def count(self, text: str, language: str | None) -> int | None:
        """Different bad words in `text`, as whole words except in scripts without spaces; None where there is no
        list for the language."""
        words = self._lists.get(language or "")
        return None if words is None else len(words.find(text))


def load_bad_words(folder: str) -> BadWords:
    """The lists, made once in the life of a worker and again when they change."""
    files = _files(Path(folder))
    return _read_lists(tuple(files), file_versions(files))


@lru_cache(maxsize=1)
def _read_lists(files: tuple[Path, ...], versions: Versions) -> BadWords:
    entries = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in files}
    return BadWords(
        {
            language: KeywordSearch({language: (word for word in words if word.strip() not in ALLOWED)})
            for language, words in entries.items()
        }
    )


def bad_word_files(folder: Path) -> dict[str, str]:
    """Every list with its SHA-256, for the ledger; raises `UsageError` for a folder without lists."""
    return {str(path): file_sha256(path) for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    files = (
        sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        if folder.is_dir()
        else []
    )
    if not files:
        raise UsageError(
            f"score_signals.bad_words: {folder} has no lists; it must be a folder with one file a language, such as "
            f"`en`"
        )
    return files
