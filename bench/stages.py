"""Documents a second of each pipeline stage, in a lake that is thrown away: `python bench/stages.py [GLOB]`.

The rates are those of one machine on one day: compare them within a table, not between machines.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from schemas.plumbing.configuration import load_config
from schemas.plumbing.logs import configure_logs
from spark_jobs.lake.crawls import enter_crawls
from spark_jobs.lake.session import start_session
from spark_jobs.lake.stage import Lake, Stage, run_stage
from spark_jobs.pipeline import PipelineConfig, enabled_stages, settings_of
from spark_jobs.recipes import pipeline_file
from spark_jobs.refresh import open_lake
from spark_jobs.stages.read import read_warc

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_PAGES = REPOSITORY.parent / "shared" / "data" / "warc" / "web-pages-00.warc.gz"
DEMO_PAGES = REPOSITORY / "build" / "demo" / "warc" / "*.warc.gz"


@dataclass(frozen=True)
class Measured:
    """A stage's run: documents that it read, and wall-clock seconds, reading and writing included."""

    stage: str
    documents: int
    seconds: float


def measure_stages(spark: SparkSession, config: PipelineConfig, warc: str, folder: str) -> Iterator[Measured]:
    """Run every stage once, in order, in an empty lake."""
    enter_crawls(spark, folder, [config.crawl])
    listing = {"warc_files": read_warc.warc_files(spark, warc, config.crawl)}
    lake = open_lake(spark, config, lake=folder, outside=listing)
    for stage in enabled_stages(config):
        started = time.monotonic()
        run_stage(stage, lake, settings_of(stage, config))
        seconds = time.monotonic() - started
        yield Measured(stage.name, documents_read(lake, stage), seconds)


def documents_read(lake: Lake, stage: Stage) -> int:
    """Documents in the stage's first input that has any; for the stage that reads WARC files, the documents that it
    made."""
    table = next((table for table in stage.reads if "doc_id" in table.column_names), stage.writes)
    return lake.read(table, stage.scope).select("doc_id").distinct().count()


def table_of(measured: list[Measured]) -> str:
    """The stages with rates and shares of the whole time, and a last line for all of them."""
    total = sum(m.seconds for m in measured)
    lines = [f"{'stage':<22}{'documents':>11}{'seconds':>10}{'documents/s':>14}{'share':>8}"]
    lines += [
        f"{m.stage:<22}{m.documents:>11,}{m.seconds:>10.1f}{m.documents / m.seconds:>14,.1f}{m.seconds / total:>8.1%}"
        for m in measured
    ]
    records = measured[0].documents
    lines.append(f"{'all':<22}{records:>11,}{total:>10.1f}{records / total:>14,.1f}{1:>8.0%}")
    return "\n".join(lines)


def main() -> int:
    default = REAL_PAGES if REAL_PAGES.is_file() else DEMO_PAGES
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "warc",
        nargs="?",
        default=str(default),
        help="WARC files; without it, real pages where they are present, else the demo's crawl",
    )
    warc = parser.parse_args().warc
    configure_logs()
    config = load_config(PipelineConfig, pipeline_file("demo"))
    spark = start_session(config.session, app_name="bench stages")
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        print(f"stages on {warc}, master {spark.sparkContext.master}, {spark.sparkContext.defaultParallelism} cores")
        print(table_of(list(measure_stages(spark, config, warc, folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
