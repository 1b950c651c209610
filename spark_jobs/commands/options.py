"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the configuration; may be repeated."),
]
LakePath = Annotated[str, typer.Option("--lake", metavar="DIR", help="Folder of the Delta tables: local, or s3a://...")]
