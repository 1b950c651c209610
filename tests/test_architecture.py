"""The design's rules about who may import what, as tests."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("schemas", "spark_jobs", "training")
SOURCES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
ONLY_IMPORTERS = {
    "fasttext": "spark_jobs/kernels/models/fasttext_model.py",
    "kenlm": "spark_jobs/kernels/models/kenlm_model.py",
}
LONGEST_FILE = 425


def imported_modules(source: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


def test_the_import_contracts_hold():
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("package", "home"), ONLY_IMPORTERS.items())
def test_an_awkward_dependency_lives_behind_one_file(package, home):
    importers = [
        str(source.relative_to(REPOSITORY))
        for source in SOURCES
        if package in {module.partition(".")[0] for module in imported_modules(source)}
    ]
    assert set(importers) <= {home}


def own_names(source: Path) -> list[tuple[str, str]]:
    """(module, name) for each name that a file, or a function in it, imports from `schemas` or `spark_jobs`."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("schemas", "spark_jobs")
        for alias in node.names
    ]


def test_what_a_command_imports_late_is_there():
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install headwater[spark]")
    missing = []
    for source in SOURCES:
        for module, name in own_names(source):
            found = importlib.import_module(module)
            is_module = hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
            if not (hasattr(found, name) or is_module):
                missing.append((str(source.relative_to(REPOSITORY)), f"{module}.{name}"))
    assert missing == []


def test_a_join_of_tables_says_which_kind_it_is():
    """Joins of strings have one argument, those of threads none."""
    silent = []
    for source in (s for s in SOURCES if s.is_relative_to(REPOSITORY / "spark_jobs")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join"):
                continue
            named = {keyword.arg for keyword in node.keywords}
            if len(node.args) + len(named) > 1 and "how" not in named:
                silent.append(f"{source.relative_to(REPOSITORY)}:{node.lineno}")
    assert silent == []


def test_only_one_file_touches_megatron_s_parallel_state():
    importers = [
        str(s.relative_to(REPOSITORY))
        for s in SOURCES
        if "parallel_state" in s.read_text(encoding="utf-8") and "import" in s.read_text(encoding="utf-8")
    ]
    assert set(importers) <= {"training/megatron/parallel.py"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(REPOSITORY)))
def test_a_file_is_short_and_says_what_it_is_for(source):
    text = source.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE, "split it, by idea"
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "begin with a docstring"


def test_no_room_is_called_utils():
    assert not [
        s for s in SOURCES if s.stem in {"utils", "util", "helpers", "helper", "manager", "handler", "common", "misc"}
    ]


def test_the_spark_side_imports_without_torch_and_the_trainer_without_pyspark():
    for modules, absent in (
        ("spark_jobs.pipeline, spark_jobs.commands.corpus", ("torch", "megatron")),
        ("training.cli, training.config", ("pyspark", "delta")),
    ):
        program = f"import sys\nfor name in {absent!r}: sys.modules[name] = None\nimport {modules}"
        imported = subprocess.run(
            [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert imported.returncode == 0, imported.stderr
