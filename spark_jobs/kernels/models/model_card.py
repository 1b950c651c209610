"""The card beside a model: a JSON file of the model's name with what it was made of, how to use it, and how good it
is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from schemas.plumbing.configuration import Config, describe_validation_error
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import file_sha256

Kind = Literal["perplexity", "language-id", "quality", "topic", "toxicity", "nsfw"]


class SourceFile(Config):
    """A file that a model was trained on, or is to be used with."""

    name: str
    """Its name without folders."""
    sha256: str
    """Of its bytes as they lay on disk."""


class ModelCard(Config):
    """What every card says. A card without `sha256` describes a model of others; all but `kind` may then be left
    out."""

    kind: Kind
    """What the model is for."""
    sha256: str = ""
    """Of the model's file."""
    language: str | None = None
    """The language that it is for; null for any."""
    sources: tuple[SourceFile, ...] = ()
    """What it was trained on."""
    training_documents: int = 0
    """Documents, or labelled texts, that it was trained on."""
    holdout_documents: int = 0
    """Those kept back, on which it was measured."""
    parameters: dict[str, str | int | float | bool] = Field(default={})
    """Settings of the training."""


def card_path(model: Path) -> Path:
    """`en.bin` has its card in `en.json`."""
    return model.with_suffix(".json")


def write_card(model: Path, card: ModelCard) -> None:
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    card_path(model).write_text(text + "\n", encoding="utf-8")


def read_card[C: ModelCard](model: Path, kind: type[C]) -> C | None:
    """The card of `model`, or None where it has none. Raises `UsageError` for a card of another kind or with a
    fault."""
    path = card_path(model)
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UsageError(describe_validation_error(error, str(path))) from None


def source_files(paths: tuple[Path, ...]) -> tuple[SourceFile, ...]:
    """Names and hashes of files; a folder (a Delta table) is named with the hash of its log's newest commit."""
    return tuple(
        SourceFile(name=path.name, sha256=file_sha256(path if path.is_file() else newest_commit(path)))
        for path in paths
    )


def newest_commit(table: Path) -> Path:
    commits = sorted((table / "_delta_log").glob("*.json"))
    if not commits:
        raise UsageError(f"{table}: neither a file nor a Delta table")
    return commits[-1]
