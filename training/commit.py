"""What a checkpoint says about itself: its commit. Imports no torch, so that a run can be refused before anything heavy starts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from schemas.errors import UsageError

COMMITTED = "COMMITTED.json"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Commit:
    """Position and identity of a checkpoint. `plan` holds the fields of `training.plan.Plan`."""

    step: int
    """Steps behind it; global batch `step` is the next one."""
    layout: str
    tokenizer: str
    """Fingerprint of the tokenizer; its definition lies beside the shards."""
    vocabulary_size: int
    end_of_document_id: int
    plan: dict[str, Any]
    plan_hash: str
    config: dict[str, Any]


def checkpoints_of(out: Path) -> Path:
    return out / "checkpoints"


def folder_of(out: Path, step: int) -> Path:
    return checkpoints_of(out) / f"step-{step:08d}"


def committed(out: Path) -> list[Path]:
    """Folders of the committed checkpoints of a run, oldest first."""
    folders = [path.parent for path in checkpoints_of(out).glob(f"step-*/{COMMITTED}")]
    return sorted(folder for folder in folders if re.fullmatch(r"step-\d{8,}", folder.name))


def read_commit(folder: Path) -> Commit:
    """The commit of a checkpoint folder; `UsageError` where it is none, or where files are missing or cut short."""
    marker = folder / COMMITTED
    if not marker.is_file():
        raise UsageError(f"{folder}: is not a committed checkpoint ({COMMITTED} is missing)")
    values = json.loads(marker.read_text(encoding="utf-8"))
    for name, size in values.pop("files").items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise UsageError(f"{path}: is missing or not {size} bytes long, as its commit says; remove the folder to go on from an earlier checkpoint")
    return Commit(**{field.name: values[field.name] for field in fields(Commit)})


def require_same_run(found: Commit, expected: Commit, folder: Path) -> None:
    """Refuse to go on from a checkpoint of other tokens, another tokenizer, model, or order; the message names each difference."""
    differences = []
    for name in ("tokenizer", "vocabulary_size"):
        if getattr(found, name) != getattr(expected, name):
            differences.append(f"{name} {str(getattr(found, name))[:12]} there, {str(getattr(expected, name))[:12]} here")
    pairs = {"plan": (found.plan, asdict(expected)["plan"]), "model": (found.config["model"], expected.config["model"])}
    pairs["optimizer"] = ({"kind": found.config["optimizer"]["kind"]}, {"kind": expected.config["optimizer"]["kind"]})
    for group, (there, here) in pairs.items():
        for key in sorted({*there, *here}):
            if _plain(there.get(key)) != _plain(here.get(key)):
                name = "tokens_version" if key == "tokens_version" else f"{group}.{key}"
                differences.append(f"{name} {there.get(key)} there, {here.get(key)} here")
    if differences:
        raise UsageError(f"{folder}: is a checkpoint of another run: {'; '.join(differences)}; choose another --out, or the former settings")


def newest_commit(out: Path) -> tuple[Path, Commit] | None:
    """The last committed checkpoint of a run."""
    folders = committed(out)
    return (folders[-1], read_commit(folders[-1])) if folders else None


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
