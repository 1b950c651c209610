"""`corpus`: from WARC files to token tables. Each command is a file of this folder; here they are put together."""

from __future__ import annotations

import sys

import typer

from schemas.plumbing.command_line import run_command
from spark_jobs.commands.decide import decide
from spark_jobs.commands.doctor import doctor
from spark_jobs.commands.explain import explain
from spark_jobs.commands.fetch import fetch
from spark_jobs.commands.recall import recall
from spark_jobs.commands.report import report
from spark_jobs.commands.run import run
from spark_jobs.commands.schema import schema
from spark_jobs.commands.train import app as train
from spark_jobs.commands.what_if import what_if
from spark_jobs.recipes import pipeline_file as pipeline_file

app = typer.Typer(
    help="Turn web crawls into curated, deduplicated, tokenised Delta tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# In the order of a first acquaintance: `corpus --help` keeps it.
for command in (run, decide, report, explain, what_if, fetch, recall, doctor, schema):
    app.command()(command)
app.add_typer(train, name="train")


def main() -> None:
    sys.exit(run_command(app, "corpus"))
