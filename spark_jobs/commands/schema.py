"""`corpus schema`: pipeline files for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from schemas.plumbing import exit_codes


def schema(
    out: Annotated[Path, typer.Option(help="Where to write the JSON Schema.")] = Path("pipeline.schema.json"),
) -> int:
    """Write the JSON Schema of pipeline files, for completion in editors."""
    from spark_jobs.pipeline import PipelineConfig

    out.write_text(json.dumps(PipelineConfig.model_json_schema(), indent=2) + "\n", encoding="utf-8")
    print(out)
    return exit_codes.DONE
