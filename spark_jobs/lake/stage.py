"""Run one stage: read its tables, transform, write, check, commit, and enter the run in the ledger, in this order.

A stage whose configuration, code and inputs are those of its last entry in the ledger is already done and is not run
again.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import structlog
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Table
from schemas.plumbing.code_version import code_version
from schemas.plumbing.configuration import Config, config_json
from schemas.plumbing.errors import ContractError, HeadwaterError
from spark_jobs.lake import delta
from spark_jobs.lake.checks import broken_check, require_checks
from spark_jobs.lake.ledger import Entry, Ledger, microseconds
from spark_jobs.lake.progress import progress_line
from spark_jobs.lake.transaction import last_application

log = structlog.get_logger()


class StageError(HeadwaterError):
    """A stage failed; the message names the stage and the cause in one line."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A transformation from tables to one table.

    `transform(*inputs, config=...)` gets a DataFrame for each of `reads`, in order. With scope `crawl` it sees and
    replaces one crawl's rows; with scope `lake` the whole table. `conserves` names the input each of whose rows must
    come out exactly once.
    """

    name: str
    reads: tuple[Table, ...]
    writes: Table
    config: type[Config] | None
    """Its group of keys in a pipeline file; None where other stages' keys decide, see `settings`."""
    state: tuple[Table, ...] = ()
    """Tables that the stage also reads, after `reads`, and that later stages write: what earlier runs left. They are
    empty where a lake has none, and a new version of one does not make the stage stale."""
    settings: Callable[[Any], Config] | None = None
    """What the stage runs under, from the configuration of the whole pipeline; the group of keys of its own name unless
    given."""
    transform: Callable[..., DataFrame]
    scope: Literal["crawl", "lake"] = "crawl"
    conserves: Table | None = None
    verify: Callable[[Lake, Mapping[str, int]], None] = field(default=lambda lake, counts: None)
    """`verify(lake, counts)` raises `ContractError` where the counts of what was written cannot be right. It is asked
    before the commit, with the lake as the stage read it."""
    counts: Callable[[], Mapping[str, Column]] = dict
    """Aggregates observed during the write, for the ledger and the report."""
    standing: Callable[..., DataFrame] | None = None
    """For a stage that grows: `standing(written, *inputs)` are the rows of its table that still hold, which are what is
    counted and conserved; all unless given."""
    sees_versions: bool = False
    """Whether `transform` and `grow` also take `versions`, the Delta version of each table that they read, by name; a
    table that the lake lacks has none."""
    observes_reading: bool = False
    """Whether the transform also takes `observation`, and counts in it what it reads but does not give out."""
    models: Callable[[Any], Mapping[str, str]] = field(default=lambda config: {})
    """Files that the configuration names (models, lists), with their SHA-256."""
    keep: Callable[[Any], bool] = field(default=lambda config: False)
    """Whether what was made under the same settings stays when inputs or code have changed."""
    grow: Callable[..., DataFrame | None] | None = None
    """For scope `lake`: `grow(stored, *inputs, config=...)` gives the rows that the stored table lacks, to be
    appended; None where all are written anew."""
    enabled: Callable[[Any], bool] = field(default=lambda config: True)
    """Whether a pipeline runs the stage under this configuration; where it does not, later stages read an empty
    table in its place."""


@dataclass(frozen=True)
class Run:
    """A finished execution, as the ledger has it."""

    stage: str
    output_version: int
    counts: dict[str, int]
    seconds: float
    repeated: bool
    """False where the ledger showed that nothing had to be done."""


@dataclass(frozen=True)
class Lake:
    """Where the tables are, which crawl a run is about, and the inputs that come from outside the lake."""

    spark: SparkSession
    path: str
    crawl: str
    outside: Mapping[str, DataFrame]

    versions: Mapping[str, int] = field(default_factory=dict)
    """Version at which a table is read, by name; the newest where none is given."""

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.spark, self.path)

    def of_crawl(self, crawl: str) -> Lake:
        """The same lake, about another crawl; the ledger is not read again."""
        other = replace(self, crawl=crawl)
        other.__dict__["ledger"] = self.ledger
        return other

    def has(self, table: Table) -> bool:
        return delta.table_exists(self.spark, self.path, table)

    def read(self, table: Table, scope: str) -> DataFrame:
        if table.name in self.outside:
            return self.outside[table.name]
        if not self.has(table):
            return self.spark.createDataFrame([], table.spark())
        data = delta.read_table(self.spark, self.path, table, version=self.versions.get(table.name))
        return data.where(F.col("crawl") == self.crawl) if scope == "crawl" and "crawl" in table.column_names else data

    def identity(self, table: Table, scope: str) -> str:
        """What a stage of that scope depends on: the version that the stage which wrote the table committed, for a
        stage of one crawl that of its crawl alone, so that another crawl's rows, or OPTIMIZE, change nothing.

        For a table that no stage has written its Delta version, and for an input from outside a hash of its rows (a
        listing of files, never data).
        """
        if table.name in self.outside:
            rows = sorted(map(repr, self.outside[table.name].collect()))
            return hashlib.sha256("\n".join(rows).encode()).hexdigest()
        if not self.has(table):
            return "absent"
        writers = self.ledger.writers(table.name)
        if scope == "crawl":
            writers = {crawl: version for crawl, version in writers.items() if crawl in (None, self.crawl)}
        if not writers:
            return str(delta.current_version(self.spark, self.path, table))
        if len(writers) == 1:
            return str(next(iter(writers.values())))
        return ", ".join(sorted(f"{crawl or 'the lake'}@{version}" for crawl, version in writers.items()))

    def as_now(self, *tables: Table) -> Lake:
        """The lake with these tables as they are now, whatever is written meanwhile."""
        stored = [table for table in tables if table.name not in self.outside and self.has(table)]
        versions = {table.name: delta.current_version(self.spark, self.path, table) for table in stored}
        return replace(self, versions=versions)

    def require_checks(self, table: Table, scope: str) -> None:
        """Raises `ContractError` where the table was made without a check of its contract, and rows in scope break
        it."""
        if table.name not in self.outside and self.has(table):
            missing = delta.missing_checks(self.spark, self.path, table)
            require_checks(self.read(table, scope), table, missing)


def run_stage(stage: Stage, lake: Lake, config: Config) -> Run:
    """Bring the stage's table up to date. Raises `ContractError` for data that break a contract and `StageError` for
    all else that goes wrong; in both cases the table stays at the version that it had."""
    inputs = {table.name: lake.identity(table, stage.scope) for table in stage.reads}
    models = dict(stage.models(config))
    fingerprint = stage_fingerprint(stage, lake, config, inputs, models)
    crawl = lake.crawl if stage.scope == "crawl" else None
    done = lake.ledger.newest(stage.name, crawl)
    if done is not None and holds(stage, lake, done):
        is_current = done.fingerprint == fingerprint
        if is_current or (stage.keep(config) and done.config == config_json(config) and done.counts["rows"] > 0):
            log.info(
                "stage is up to date" if is_current else "stage is kept: its settings are the same",
                stage=stage.name,
                version=done.output_version,
            )
            return Run(stage.name, done.output_version, done.counts, done.seconds, repeated=False)
    log.info("stage starts", stage=stage.name)
    started_at, started = datetime.now(UTC), time.monotonic()
    try:
        version, counts = _write(stage, lake, config, started_at)
    except HeadwaterError:
        raise
    except Exception as error:
        raise explain_failure(stage.name, error) from error
    seconds = time.monotonic() - started
    entry = {
        "run_id": uuid.uuid4().hex,
        "stage": stage.name,
        "crawl": crawl,
        "fingerprint": fingerprint,
        "config": config_json(config),
        "code_version": code_version("spark_jobs"),
        "inputs": json.dumps(inputs, sort_keys=True),
        "output_table": stage.writes.name,
        "output_version": version,
        "counts": json.dumps(counts, sort_keys=True),
        "models": json.dumps(models, sort_keys=True),
        "started_at": started_at,
        "seconds": seconds,
    }
    lake.ledger.enter(entry)
    log.info("stage done", stage=stage.name, seconds=round(seconds, 1), version=version, **counts)
    return Run(stage.name, version, counts, seconds, repeated=True)


def _write(stage: Stage, lake: Lake, config: Config, started_at: datetime) -> tuple[int, dict[str, int]]:
    """What the stage committed: the version, and counts that hold what its checks ask for."""
    there = lake.as_now(*stage.reads, *stage.state, stage.writes)
    with progress_line(lake.spark, stage.name):
        for table in stage.reads:
            there.require_checks(table, stage.scope)
        reading = {"observation": Observation(f"read by {stage.name}")} if stage.observes_reading else {}
        options = reading | ({"versions": there.versions} if stage.sees_versions else {})
        tables = [there.read(table, stage.scope) for table in (*stage.reads, *stage.state)]
        added = (
            stage.grow(there.read(stage.writes, stage.scope), *tables, config=config, **options)
            if stage.grow and there.has(stage.writes)
            else None
        )
        output = stage.transform(*tables, config=config, **options) if added is None else added

    def with_reading(counts: dict[str, int]) -> dict[str, int]:
        return counts | {name: count for observation in reading.values() for name, count in observation.get.items()}

    def verify(counts: dict[str, int]) -> None:
        counts = with_reading(counts)
        if stage.conserves is not None:
            _require_conservation(stage, there, counts["rows"])
        stage.verify(there, counts)

    with progress_line(lake.spark, stage.name):
        version, counts = delta.write_table(
            output,
            lake.path,
            stage.writes,
            append=added is not None,
            replace_where=f"crawl = {_sql_text(lake.crawl)}" if stage.scope == "crawl" else None,
            observe=stage.counts(),
            verify=verify,
            application=(_application(stage, lake), microseconds(started_at)),
            since=there.versions[stage.writes.name] if added is not None else None,
            standing=lambda written: stage.standing(written, *tables) if stage.standing else written,
        )
    return version, with_reading(counts)


def holds(stage: Stage, lake: Lake, entry: Entry) -> bool:
    """Whether the table is what that entry of the ledger says.

    It is not where a run was killed after its commit and before its own entry: the table has its rows, and the
    ledger only knows of the ones before.
    """
    if not lake.has(stage.writes):
        return False
    known = max(lake.ledger.writers(stage.writes.name).values(), default=None)
    if delta.current_version(lake.spark, lake.path, stage.writes) == known:
        return True
    last = last_application(lake.spark, delta.table_path(lake.path, stage.writes), _application(stage, lake))
    return last is None or last == entry.started


def _application(stage: Stage, lake: Lake) -> str:
    """The name under which the stage's commits are found in the log of its table."""
    return f"headwater/{stage.name}" + (f"/{lake.crawl}" if stage.scope == "crawl" else "")


def stage_fingerprint(
    stage: Stage, lake: Lake, config: Config, inputs: Mapping[str, str], models: Mapping[str, str]
) -> str:
    """Hash of all that determines the output: equal fingerprints mean equal rows."""
    parts = [
        stage.name,
        config_json(config),
        code_version("spark_jobs"),
        lake.crawl if stage.scope == "crawl" else "",
        dict(inputs),
        dict(models),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def explain_failure(stage: str, error: Exception) -> Exception:
    """The cause in one line, out of the many that Spark wraps around it; a broken check becomes a `ContractError`
    that names the row's key and nothing else of it."""
    text = str(error)
    broken = broken_check(text)
    if broken is not None:
        return ContractError(f"{stage}: {broken}")
    python_cause = re.findall(r"^(\w[\w.]*(?:Error|Exception|Exit): .*)$", text, re.MULTILINE)
    line = (
        python_cause[-1]
        if python_cause
        else next((part for part in text.splitlines() if part.strip()), type(error).__name__)
    )
    return StageError(f"{stage}: {line}")


def _require_conservation(stage: Stage, lake: Lake, rows_out: int) -> None:
    assert stage.conserves is not None
    rows_in = lake.read(stage.conserves, stage.scope).count()
    if rows_in != rows_out:
        raise ContractError(
            f"{stage.name}: {rows_in} rows of {stage.conserves.name} went in, but {rows_out} rows of "
            f"{stage.writes.name} came out"
        )


def _sql_text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
