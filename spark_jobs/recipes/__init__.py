"""The recipes that come with Headwater: a folder each, with a pipeline, a policy, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def bundled(part: Literal["pipeline", "policy"]) -> dict[str, Path]:
    """The pipelines, or the policies, by the name of their recipe."""
    return {path.parent.name: path for path in sorted(Path(__file__).parent.glob(f"*/{part}.yaml"))}
