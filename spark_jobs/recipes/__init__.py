"""The recipes that come with Headwater: a folder each, with a pipeline, a policy, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from schemas.plumbing.errors import UsageError


def bundled(part: Literal["pipeline", "policy"]) -> dict[str, Path]:
    """The pipelines, or the policies, by the name of their recipe."""
    return {path.parent.name: path for path in sorted(Path(__file__).parent.glob(f"*/{part}.yaml"))}


def pipeline_file(name: str) -> Path:
    """A bundled pipeline by name, or the file at that path."""
    pipelines = bundled("pipeline")
    if name in pipelines:
        return pipelines[name]
    if not Path(name).is_file():
        raise UsageError(f"{name}: neither a file nor a pipeline that comes with Headwater ({', '.join(pipelines)})")
    return Path(name)
