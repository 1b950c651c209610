"""Checks that a machine can run the Spark side, each with what to do where it cannot."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, whether it is well, and what was found or has to be done."""

    subject: str
    well: bool
    detail: str


def examine() -> list[Finding]:
    """Run every check; a check that breaks is itself a finding."""
    checks: tuple[tuple[str, Callable[[], tuple[bool, str]]], ...] = (
        ("Python", _python),
        ("Java", _java),
        ("lmplz (KenLM)", _lmplz),
        ("language model", _language_model),
        ("Spark and Delta", _spark_writes_delta),
    )
    findings = []
    for subject, check in checks:
        try:
            well, detail = check()
        except Exception as error:
            well, detail = False, " ".join(str(error).split())[:300]
        findings.append(Finding(subject, well, detail))
    return findings


def _python() -> tuple[bool, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    return sys.version_info >= (3, 12), f"{version} at {sys.executable}" if sys.version_info >= (
        3,
        12,
    ) else f"{version}; 3.12 or newer is needed"


def _java() -> tuple[bool, str]:
    java = shutil.which("java")
    if java is None:
        return False, "not on the PATH; install a Java 17 runtime (Debian: openjdk-17-jre-headless)"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    major = int(version[1]) if version else 0
    return major >= 17, f"{major} at {java}" if major >= 17 else f"{major} at {java}; Spark 4 needs 17 or newer"


def _lmplz() -> tuple[bool, str]:
    # Only perplexity models need it, so its absence is no fault.
    found = shutil.which("lmplz") or next(
        (str(p) for p in (Path(sys.executable).parent / "lmplz",) if p.exists()), None
    )
    return True, found or "not built; only training of perplexity models needs it"


def _language_model() -> tuple[bool, str]:
    from spark_jobs.stages.read import identify_language

    models = identify_language.language_models(identify_language.Config())
    return True, ", ".join(f"{Path(path).name} sha256 {digest[:12]}" for path, digest in models.items())


def _spark_writes_delta() -> tuple[bool, str]:
    from pyspark.sql import functions as F

    from schemas.contract import Column, Table
    from spark_jobs.lake import delta
    from spark_jobs.lake.session import SessionConfig, start_session

    probe = Table(
        name="probe", grain="one number", key=("id",), columns=(Column(name="id", type="long", description="a number"),)
    )
    spark = start_session(SessionConfig())
    with tempfile.TemporaryDirectory() as folder:
        # Through a Python worker, because that is where wrong interpreters show.
        numbers = spark.range(10).mapInArrow(lambda batches: batches, probe.spark()).select(F.col("id"))
        _, counts = delta.write_table(numbers, folder, probe)
    return counts["rows"] == 10, f"Spark {spark.version} wrote and read a Delta table through a Python worker"
