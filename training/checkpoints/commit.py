"""What a checkpoint says about itself: its commit, and what is found of it later. Imports no torch, so that a run
can be refused before anything heavy starts."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from schemas.plumbing.errors import UsageError
from training.order.plan import Plan
from training.order.skips import batch_of_step, read_skips

COMMITTED = "COMMITTED.json"
TOKENIZER = "tokenizer.json"
DAMAGED = ".damaged"
UNDONE = ".undone"
FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Commit:
    """Position and identity of a checkpoint. `plan` holds the fields of `training.order.plan.Plan`."""

    step: int
    """Steps behind it."""
    layout: str
    tokenizer: str
    """Fingerprint of the tokenizer; its definition lies beside the shards."""
    vocabulary_size: int
    end_of_document_id: int
    plan: dict[str, Any]
    plan_hash: str
    config: dict[str, Any]
    state: dict[str, Any] = field(default_factory=dict)
    """What else a resumed run goes on with, in kilobytes: windows of the watch, batches that are skipped."""

    @property
    def next_batch(self) -> int:
        """The global batch that comes next; further on than `step` by the batches before it that were left out."""
        return batch_of_step(self.step, read_skips(self.state.get("skips", [])))


@dataclass(frozen=True)
class FileFacts:
    """A file of a checkpoint, as it was read back: bytes, and SHA-256 in hex."""

    size: int
    sha256: str


class DamagedCheckpoint(UsageError):
    """A checkpoint that was committed and is not whole any more."""


def checkpoints_of(out: Path) -> Path:
    return out / "checkpoints"


def folder_of(out: Path, step: int) -> Path:
    return checkpoints_of(out) / f"step-{step:08d}"


def step_of(folder: Path) -> int:
    found = FOLDER.fullmatch(folder.name.partition(".")[0])
    if found is None:
        raise ValueError(f"{folder}: is not named as a checkpoint")
    return int(found[1])


def committed(out: Path) -> list[Path]:
    """Folders of the committed checkpoints of a run, oldest first."""
    return [folder for folder in _steps(out) if (folder / COMMITTED).is_file()]


def uncommitted(out: Path) -> list[Path]:
    """What saves left behind that did not come to their end, oldest first."""
    return [folder for folder in _steps(out) if not (folder / COMMITTED).is_file()]


def undone(out: Path) -> list[Path]:
    """What `undo_after` took out of the history of a run."""
    return sorted(checkpoints_of(out).glob(f"step-*{UNDONE}*"))


def read_commit(folder: Path) -> Commit:
    """The commit of a checkpoint folder; `UsageError` where it is none, `DamagedCheckpoint` where files are missing
    or cut short."""
    values, files = _read_marker(folder)
    for name, facts in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts.size:
            raise DamagedCheckpoint(f"{path}: is missing or not {facts.size} bytes long, as its commit says")
    known = {part.name for part in fields(Commit)}
    return Commit(**{name: value for name, value in values.items() if name in known})


def newest_commit(out: Path) -> tuple[Path, Commit] | None:
    """The last committed checkpoint of a run that is whole; None where there is none at all. Damaged ones are passed
    over: `set_aside` tells of them.

    `DamagedCheckpoint` where every one is damaged: starting anew is for the user to decide.
    """
    folders = committed(out)
    damage = None
    for folder in reversed(folders):
        try:
            return folder, read_commit(folder)
        except DamagedCheckpoint as error:
            damage = damage or error
    if damage is not None:
        raise DamagedCheckpoint(f"{damage}; no other checkpoint of the run is whole: remove the folder to start anew")
    return None


def set_aside(folder: Path) -> str | None:
    """Rename a damaged checkpoint, so that nothing mistakes it for a whole one and nothing removes it; returns why,
    None where it is whole.

    Call it on one rank only.
    """
    try:
        read_commit(folder)
    except DamagedCheckpoint as damage:
        rename_damaged(folder)
        return str(damage)
    return None


def undo_after(out: Path, step: int) -> list[Path]:
    """Take checkpoints of later steps out of the run's history, which goes on from `step`; they stay for a while,
    under another name.

    Call it on one rank only.
    """
    return [folder.rename(_free_name(folder, UNDONE)) for folder in _steps(out) if step_of(folder) > step]


def rename_damaged(folder: Path) -> Path:
    return folder.rename(_free_name(folder, DAMAGED))


def wrong_files(folder: Path, part: int, parts: int) -> list[str]:
    """Files whose content is not what the commit says, among every `parts`-th from `part` on: each rank reads its
    share."""
    _, files = _read_marker(folder)
    names = sorted(files)[part::parts]
    return [name for name in names if file_facts(folder / name) != files[name]]


def write_commit(folder: Path, commit: Commit, files: dict[str, FileFacts]) -> None:
    """Make a checkpoint of a folder, in one step and for good: the marker comes last, and only after all it names is
    on disk."""
    for path in folder.iterdir():
        _flush_to_disk(path)
    marker = {**asdict(commit), "files": {name: asdict(files[name]) for name in sorted(files)}}
    part = folder / f"{COMMITTED}.part"
    part.write_text(json.dumps(marker, indent=1), encoding="utf-8")
    _flush_to_disk(part)
    _flush_to_disk(folder)
    part.replace(folder / COMMITTED)
    _flush_to_disk(folder)


def file_facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileFacts(file.tell(), digest.hexdigest())


def require_same_run(found: Commit, expected: Commit, folder: Path) -> None:
    """Refuse to go on from a checkpoint of other tokens, another tokenizer, model, or order; the message names each
    difference."""
    differences = []
    for name in ("tokenizer", "vocabulary_size"):
        if getattr(found, name) != getattr(expected, name):
            differences.append(
                f"{name} {str(getattr(found, name))[:12]} there, {str(getattr(expected, name))[:12]} here"
            )
    # A plan may change what comes, not what has been.
    past = [_leaves(Plan.from_dict(commit.plan).before(found.next_batch).to_dict()) for commit in (found, expected)]
    pairs = {"plan": (past[0], past[1]), "model": (found.config["model"], expected.config["model"])}
    pairs["optimizer"] = ({"kind": found.config["optimizer"]["kind"]}, {"kind": expected.config["optimizer"]["kind"]})
    pairs["parallel"] = tuple(
        {"shard_optimizer": commit.config["parallel"].get("shard_optimizer", False)} for commit in (found, expected)
    )  # type: ignore[assignment]
    for group, (there, here) in pairs.items():
        for key in sorted({*there, *here}):
            if _plain(there.get(key)) != _plain(here.get(key)):
                differences.append(f"{group}.{key} {there.get(key)} there, {here.get(key)} here")
    if differences:
        raise UsageError(
            f"{folder}: is a checkpoint of another run: {'; '.join(differences)}; choose another --out, or the former "
            f"settings"
        )


def _steps(out: Path) -> Sequence[Path]:
    return sorted((path for path in checkpoints_of(out).glob("step-*") if FOLDER.fullmatch(path.name)), key=step_of)


def _free_name(folder: Path, suffix: str) -> Path:
    number = 1
    while (target := folder.with_name(f"{folder.name}{suffix}{number if number > 1 else ''}")).exists():
        number += 1
    return target


def _read_marker(folder: Path) -> tuple[dict[str, Any], dict[str, FileFacts]]:
    marker = folder / COMMITTED
    if not marker.is_file():
        raise UsageError(f"{folder}: is not a committed checkpoint ({COMMITTED} is missing)")
    try:
        values = json.loads(marker.read_text(encoding="utf-8"))
        return values, {name: FileFacts(**facts) for name, facts in values["files"].items()}
    except (ValueError, TypeError, KeyError):
        raise DamagedCheckpoint(f"{marker}: does not read as a commit") from None


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every plain value in nested mappings and sequences, by its path."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            name: leaf
            for key, part in pairs
            for name, leaf in _leaves(part, f"{path}.{key}" if path else str(key)).items()
        }
    return {path: value}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
