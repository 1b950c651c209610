"""The report: one HTML file that holds all it shows, about what came in, what was kept, and why the rest was not.

Spark aggregates; the driver sees counts, a bounded number of excerpts, and the ledger's newest rows.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from schemas.plumbing.errors import UsageError
from schemas.plumbing.whole_file import write_whole
from spark_jobs.lake.tables import open_tables
from spark_jobs.report.duplicates import gather_duplicates
from spark_jobs.report.edits import gather_edits
from spark_jobs.report.ledger import newest_runs, selecting_policy
from spark_jobs.report.models import gather_models
from spark_jobs.report.outcomes import gather_outcomes
from spark_jobs.report.render import render
from spark_jobs.report.safety import gather_safety
from spark_jobs.report.samples import gather_samples
from spark_jobs.report.signal_histograms import gather_histograms
from spark_jobs.report.tokens import gather_tokens
from spark_jobs.report.training_curve import read_curve
from spark_jobs.report.training_results import read_results


def write_report(spark: SparkSession, lake: str, out: Path, *, crawl: str | None, training: Path | None) -> None:
    """Write the report on one crawl, or on all of them, to `out`.

    `training` is the output folder of a training run. A table that is not there yet counts as empty. Raises
    `UsageError` where the lake has no table at all, no such crawl, or the training folder no metrics.
    """
    curve = read_curve(training) if training is not None else None
    results = read_results(training) if training is not None else None
    tables = open_tables(spark, lake, crawl)
    selecting = selecting_policy(tables)
    policy = selecting.policy
    outcomes = gather_outcomes(tables, policy)
    if crawl is not None and outcomes.records == 0:
        raise UsageError(f"--crawl {crawl}: the lake {lake} has no record of that crawl")
    runs = newest_runs(tables)
    page = render(
        lake=lake,
        crawl=crawl,
        selecting=selecting,
        outcomes=outcomes,
        safety=gather_safety(tables),
        histograms=gather_histograms(tables, policy),
        duplicates=gather_duplicates(tables),
        edits=gather_edits(tables, runs),
        samples=gather_samples(tables, policy, [rule.name for rule in outcomes.rules]),
        tokens=gather_tokens(tables),
        models=gather_models(tables),
        curve=curve,
        results=results,
        runs=runs,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, page)
