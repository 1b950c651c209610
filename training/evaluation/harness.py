"""EleutherAI's lm-evaluation-harness on an exported model: its own tasks, and those of a folder; without the network
unless HF_HUB_OFFLINE is 0."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.plumbing.errors import UsageError


@dataclass(frozen=True)
class TaskResult:
    """One measure of one task, over `items` items of it; `error` is its standard error where the harness gives one."""

    task: str
    measure: str
    value: float
    error: float | None
    items: int


def run_tasks(
    model: Path, tasks: tuple[str, ...], folder: Path | None, *, device: str, batch_size: int, limit: int | None
) -> list[TaskResult]:
    """Results of a Hugging Face folder; `folder` has YAML files of tasks. `UsageError` where a task is not known, or
    its data are not on this machine."""
    # Read when its packages are imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_DATASETS_OFFLINE", os.environ["HF_HUB_OFFLINE"])
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        from training.evaluation.harness_model import ExportedModel
    except ImportError:
        raise UsageError("lm-evaluation-harness is not installed: pip install headwater[eval]") from None

    if folder is not None and not folder.is_dir():
        raise UsageError(f"--tasks-folder {folder}: there is no such folder")
    known = TaskManager(include_path=str(folder) if folder else None)
    missing = [task for task in tasks if task not in known.all_tasks]
    if missing:
        where = f", nor in {folder}" if folder else "; --tasks-folder names a folder with more"
        raise UsageError(
            f"--tasks {','.join(missing)}: not among the {len(known.all_tasks)} tasks of lm-evaluation-harness{where}"
        )
    with tempfile.TemporaryDirectory(prefix="headwater-tasks-") as cache:
        # What a task reads is kept by the name of its files, not by their content.
        os.environ["HF_DATASETS_CACHE"] = cache
        try:
            found = simple_evaluate(
                model=ExportedModel(model, device, batch_size),
                tasks=list(tasks),
                task_manager=known,
                limit=limit,
                log_samples=False,
                bootstrap_iters=1000,
            )
        except (OSError, ConnectionError, ValueError) as error:
            raise UsageError(
                f"--tasks {','.join(tasks)}: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
    return results_of(found)


def results_of(found: Any) -> list[TaskResult]:
    """The harness names measures `acc,none` and their errors `acc_stderr,none`: the second part is the filter of
    answers."""
    results = []
    for task, values in sorted(found["results"].items()):
        items = int(found.get("n-samples", {}).get(task, {}).get("effective", 0))
        for name, value in sorted(values.items()):
            measure, _, answers = name.partition(",")
            if not answers or measure.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = values.get(f"{measure}_stderr,{answers}")
            label = measure if answers == "none" else f"{measure} ({answers})"
            results.append(
                TaskResult(task, label, float(value), float(error) if isinstance(error, int | float) else None, items)
            )
    return results
