"""Names and postal addresses of people in a text, as a spaCy model of the user's own finds them; spaCy is imported
when a model is loaded, not before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.privacy.pii import Found

if TYPE_CHECKING:
    from spacy.language import Language

LONGEST_PART = 20_000
"""Characters that the model sees at once. It takes some kilobytes for each, and a text is cut between lines, where
no name goes on."""


class NameFinder:
    """A model, loaded once, and which of its labels count as what: `{"PER": "person"}`."""

    def __init__(self, model: Path, labels: Mapping[str, str]) -> None:
        """Raises `UsageError` where there is no spaCy model, or it never gives one of the labels."""
        self._language = _load(model)
        self._labels = dict(labels)
        given = {label for name in self._language.pipe_names for label in self._language.pipe_labels.get(name, [])}
        unknown = sorted(set(labels) - given)
        if unknown and not set(labels) & given:
            raise UsageError(
                f"{model}: never gives the labels {', '.join(unknown)}; it gives {', '.join(sorted(given)) or 'none'}"
            )

    def find(self, text: str) -> list[Found]:
        """Names and addresses in `text`, in order."""
        found = []
        for start, part in _parts(text):
            for entity in self._language(part).ents:
                value = entity.text.rstrip()
                if entity.label_ in self._labels and value:
                    found.append(
                        Found(
                            start + entity.start_char,
                            start + entity.start_char + len(value),
                            self._labels[entity.label_],
                        )
                    )
        return found


def model_digest(model: Path) -> str:
    """SHA-256 over the files of the model's folder, by name; `UsageError` where it has none."""
    files = sorted(path for path in model.rglob("*") if path.is_file()) if model.is_dir() else []
    if not files:
        raise UsageError(f"{model}: no folder of a spaCy model")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(model)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _load(model: Path) -> Language:
    import spacy

    try:
        return spacy.load(model)
    except OSError as error:
        raise UsageError(f"{model}: no spaCy model can be loaded there: {' '.join(str(error).split())}") from None


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Runs of whole lines of at most `LONGEST_PART` characters, with their places; a longer line is cut."""
    start = 0
    while start < len(text):
        end = start + LONGEST_PART
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield start, text[start:end]
        start = end
