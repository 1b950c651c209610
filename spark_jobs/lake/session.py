"""The Spark session: the only place that knows which versions and jars of Spark and Delta go together."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.plumbing.configuration import Config, UsageError

SPARK_VERSION = "4.2.0"
DELTA_VERSION = "4.4.0"
DELTA_PACKAGE = f"io.delta:delta-spark_4.2_2.13:{DELTA_VERSION}"

ROW_GROUP_BYTES = 16 << 20
BROADCAST_KEPT = "spark.headwater.broadcastKept"
"""The session's own name for `session.broadcast_kept`."""


class SessionConfig(Config):
    """How to start Spark where no session is running; `spark-submit` decides these itself."""

    master: str = "local[*]"
    """Spark master; ignored under spark-submit."""
    driver_memory: str = "4g"
    """Heap of the driver, which in local mode is also the executors'."""
    shuffle_partitions: int = 0
    """Partitions of a shuffle; 0 leaves Spark's default on a cluster and takes twice the cores in local mode."""
    broadcast_kept: bool = True
    """Send the ids of the kept documents, and the spans of their edits, to every worker, so that no text is shuffled.
    Each million takes about 100 MB, and as much again for some millions of spans; beyond some tens of millions a
    crawl, set this to false. It changes how rows are joined, never what comes out."""
    options: dict[str, str] = Field(default_factory=dict)
    """Further Spark settings, as they are."""


def start_session(config: SessionConfig, app_name: str = "headwater") -> SparkSession:
    """The running session under spark-submit, else a new one with Delta. Raises `UsageError` when Spark and Delta do
    not fit."""
    require_matching_versions()
    # Without this the workers would run whichever python3 is first on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Text hashes and set order must not differ between workers.
    os.environ.setdefault("PYTHONHASHSEED", "0")
    builder = SparkSession.builder.appName(app_name)
    for key, value in _settings(config).items():
        builder = builder.config(key, value)
    if SparkSession.getActiveSession() is None and not _under_submit():
        with _jvm_output_to(Path(tempfile.gettempdir()) / f"headwater-spark-{os.getuid()}.log"):
            session = builder.getOrCreate()
    else:
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    if session.sparkContext.getCheckpointDir() is None:
        session.sparkContext.setCheckpointDir(
            config.options.get("spark.checkpoint.dir", tempfile.mkdtemp(prefix="headwater-checkpoint-"))
        )
    return session


def on_every_worker(kept: DataFrame) -> DataFrame:
    """Rows of kept documents to be joined with texts: sent to every worker, unless `session.broadcast_kept` is off."""
    wanted = kept.sparkSession.conf.get(BROADCAST_KEPT, "true") == "true"
    return F.broadcast(kept) if wanted else kept


def require_matching_versions() -> None:
    """A wrong pair of Spark and Delta fails late, as a NoSuchMethodError in some job; say it first."""
    for package, wanted in (("pyspark", SPARK_VERSION), ("delta-spark", DELTA_VERSION)):
        found = importlib.metadata.version(package)
        if found != wanted:
            wanted_pair = f"pyspark {SPARK_VERSION} and delta-spark {DELTA_VERSION}"
            raise UsageError(
                f"{package} {found} is installed, but this release goes with {wanted_pair}: pip install "
                f"{package}=={wanted}"
            )


@contextlib.contextmanager
def _jvm_output_to(log_file: Path) -> Iterator[None]:
    """A JVM started inside writes to the file for all its life: Ivy's and log4j's lines would bury ours. A failed
    start shows the end of the file."""
    with log_file.open("ab") as log:
        start = log.tell()
        own_stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception as error:
            said = log_file.read_bytes()[start:].decode(errors="replace").strip().splitlines()[-15:]
            advice = "is Java 17 on the PATH, and can Maven Central be reached for Delta's jars?"
            raise UsageError(f"Spark did not start; {advice} It said:\n" + "\n".join(said)) from error
        finally:
            os.dup2(own_stderr, 2)
            os.close(own_stderr)


def _under_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _settings(config: SessionConfig) -> dict[str, str]:
    under_submit = _under_submit()
    partitions = config.shuffle_partitions or (
        2 * _local_cores(config.master) if config.master.startswith("local") and not under_submit else 0
    )
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
        "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
        "spark.python.worker.faulthandler.enabled": "true",
        "spark.executorEnv.PYTHONHASHSEED": "0",
        "spark.cleaner.referenceTracking.cleanCheckpoints": "true",
        # Parquet's own default is 128 MiB. The trainer keeps row groups of each source and increment in memory, and
        # begins when it has read the first.
        "spark.hadoop.parquet.block.size": str(ROW_GROUP_BYTES),
    }
    settings[BROADCAST_KEPT] = str(config.broadcast_kept).lower()
    if partitions:
        settings["spark.sql.shuffle.partitions"] = str(partitions)
    if not under_submit:
        settings |= {
            "spark.master": config.master,
            "spark.driver.memory": config.driver_memory,
            "spark.jars.packages": DELTA_PACKAGE,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
        }
    if config.master.startswith("local"):
        # Delta's own default of 50 partitions to read a small log costs seconds a commit.
        settings["spark.databricks.delta.snapshotPartitions"] = "2"
    return settings | config.options


def _local_cores(master: str) -> int:
    inside = master.partition("[")[2].rstrip("]").partition(",")[0]
    return (os.cpu_count() or 1) if inside in ("", "*") else int(inside)
