"""Where numbers of steps are shown besides the run's own files. A tracker that fails is reported once and left out:
it must not end a run."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import structlog

from schemas.plumbing.errors import UsageError
from training.settings.watching import WatchConfig
from training.watching.event_file import EventFile
from training.watching.prometheus import Endpoint

log = structlog.get_logger()

PACKAGES = {"wandb_project": "wandb", "mlflow_experiment": "mlflow"}


class Tracker(Protocol):
    """Takes numbers by name; groups are told apart by `/`."""

    def write(self, step: int, numbers: Mapping[str, float]) -> None: ...

    def rewind(self, step: int) -> None:
        """The run goes on from `step`; what was written for later steps does not count."""

    def close(self) -> None: ...


class WandbTracker:
    """A run in Weights & Biases, of the same id when it is resumed."""

    def __init__(self, project: str, out: Path, config: dict[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=project, name=out.name, id=_run_id(out), resume="allow", dir=str(out), config=config
        )
        # Its own step can only grow, which a run that is resumed or rolled back does not keep to.
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log({**numbers, "step": step})

    def rewind(self, step: int) -> None:
        """Nothing: what is written again for a step is drawn over what was there."""

    def close(self) -> None:
        self._run.finish()


class MlflowTracker:
    """A run in MLflow, found by its folder when it is resumed."""

    def __init__(self, experiment: str, out: Path, config: dict[str, Any]) -> None:
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(experiment)
        place = found.experiment_id if found else self._client.create_experiment(experiment)
        former = self._client.search_runs([place], filter_string=f"tags.folder = '{_run_id(out)}'", max_results=1)
        self._run = (
            former[0].info.run_id
            if former
            else self._client.create_run(place, tags={"folder": _run_id(out)}, run_name=out.name).info.run_id
        )
        if not former:
            for name, value in _leaves(config).items():
                self._client.log_param(self._run, name, str(value)[:500])

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._run, metrics=[Metric(name, float(value), now, step) for name, value in numbers.items()]
        )

    def rewind(self, step: int) -> None:
        """Nothing: MLflow shows the last value that was written for a step."""

    def close(self) -> None:
        self._client.set_terminated(self._run)


class Trackers:
    """All trackers of a run as one."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self._trackers = trackers

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        self._each(lambda tracker: tracker.write(step, finite))

    def rewind(self, step: int) -> None:
        self._each(lambda tracker: tracker.rewind(step))

    def close(self) -> None:
        self._each(lambda tracker: tracker.close())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except Exception as error:
                self._trackers.remove(tracker)
                log.warning(
                    "a tracker failed and is left out from here on", tracker=type(tracker).__name__, reason=str(error)
                )


def require_trackers(config: WatchConfig) -> None:
    """Refuse trackers that are not installed."""
    for key, package in PACKAGES.items():
        if getattr(config, key) is not None and importlib.util.find_spec(package) is None:
            raise UsageError(f"watch.{key}: {package} is not installed; pip install headwater[{package}]")


def open_trackers(config: WatchConfig, out: Path, step: int, settings: dict[str, Any]) -> Trackers:
    """The trackers that the configuration asks for, for a run that has `step` steps behind it; one that cannot be
    opened is left out."""
    wanted: dict[str, Callable[[], Tracker]] = {}
    if config.tensorboard:
        wanted["tensorboard"] = lambda: EventFile(out / "tensorboard", step)
    if (project := config.wandb_project) is not None:
        wanted["wandb"] = lambda: WandbTracker(project, out, settings)
    if (experiment := config.mlflow_experiment) is not None:
        wanted["mlflow"] = lambda: MlflowTracker(experiment, out, settings)
    if (port := config.prometheus_port) is not None:
        wanted["prometheus"] = lambda: _endpoint(config.prometheus_host, port, out)
    trackers = []
    for name, build in wanted.items():
        try:
            trackers.append(build())
        except Exception as error:
            log.warning("a tracker cannot be opened and is left out", tracker=name, reason=str(error))
    return Trackers(trackers)


def _endpoint(host: str, port: int, out: Path) -> Endpoint:
    endpoint = Endpoint(host, port, {"run": out.name})
    log.info("answers Prometheus", address=endpoint.address)
    return endpoint


def _run_id(out: Path) -> str:
    """A name for the run that stays the same when it is resumed, and that every tracker takes."""
    return hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]


def _leaves(values: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {path: values}
    return {
        name: leaf
        for key, part in values.items()
        for name, leaf in _leaves(part, f"{path}.{key}" if path else key).items()
    }
