"""The MLflow run of a training: opened before the fit, so that a failed one leaves a trace too.

It is logged to Weights & Biases as well, once it is over, where there is a key for that.
"""

import math
import platform
import re
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlops.project import files
from mlops.project.git import Commit
from mlops.project.params import Params, flatten
from mlops.registry import tracking, weights_and_biases

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What mlflow/utils/validation.py takes; a slash as well, but not every path.
NO_NAME = re.compile(r"[^\w.\- :]")
NAME_LENGTH, VALUE_LENGTH, BATCH = 250, 6000, 100


class TrainingRun:
    """A context in which the run is open; leaving it by an exception marks the run as failed."""

    def __init__(self, params: Params, commit: Commit) -> None:
        self._client = tracking.connect()
        data = files.read_json(files.DATA_REPORT, "dvc repro")
        name = _run_name(params, commit.sha)
        tags = {
            "mlflow.source.git.commit": commit.sha or "",
            "git_dirty": str(commit.dirty).lower(),
            "data_md5": data["md5"],
            "holdout_md5": files.md5(files.HOLDOUT),
            "requirements_md5": files.md5(files.LOCK),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "host": socket.gethostname(),
        }
        experiment = tracking.experiment_id(self._client, params.name)
        run = self._client.create_run(experiment, run_name=name, tags=tags)
        self.id: str = run.info.run_id
        _log_params(self._client, self.id, params)
        self._tracked = weights_and_biases.TrackedRun(
            name=name,
            project=params.name,
            params=params.model_dump(mode="json"),
            tags={key: value for key, value in tags.items() if key != "host"},
            metrics={},
            mlflow_run=tracking.address(self._client, experiment, self.id),
        )

    def __enter__(self) -> "TrainingRun":
        return self

    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Log metrics by name; an undefined one (NaN) is left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        defined = {name: value for name, value in metrics.items() if not math.isnan(value)}
        batch = [Metric(name, value, now, 0) for name, value in defined.items()]
        self._client.log_batch(self.id, metrics=batch)
        self._tracked.metrics.update(defined)

    def log_files(self) -> None:
        """Log the files that reproduce the training."""
        for path in (files.PARAMS, files.LOCK, files.DATA_REPORT):
            self._client.log_artifact(self.id, str(path), "reproduce")

    def log_plots(self, folder: Path) -> None:
        """Log what lies in ``folder``."""
        self._client.log_artifacts(self.id, str(folder), "plots")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        status = "FINISHED" if kind is None else "FAILED"
        self._client.set_terminated(self.id, "KILLED" if kind is KeyboardInterrupt else status)
        if kind is not KeyboardInterrupt:  # who stops it does not want to wait for a network
            weights_and_biases.log(replace(self._tracked, failed=kind is not None))


def resume(client: "MlflowClient", params: Params, training: dict[str, Any]) -> str:
    """Return the run of a training, or a copy of it when this registry does not have that run.

    A model that DVC or a workflow's artifact brought was trained elsewhere; the copy is tagged
    with the original's id.

    Parameters
    ----------
    training : dict
        What :func:`mlops.artifact.training.of_model` returns. One that nobody here has seen has no
        run; then there is a new one, without what was not measured.
    """
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    original = training["run_id"]
    try:
        if original and client.get_run(original).info.lifecycle_stage == "active":
            return str(original)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = tracking.experiment_id(client, params.name)
    tags = {
        "trained_in_run": original,
        "mlflow.source.git.commit": training["commit"] or "",
        "git_dirty": str(training["dirty"]).lower(),
        "requirements_md5": training["requirements_md5"],
        "python": training["python"],
        "platform": training["platform"],
    }
    tags = {name: value for name, value in tags.items() if value is not None}
    run = client.create_run(experiment, run_name=_run_name(params, training["commit"]), tags=tags)
    run_id = str(run.info.run_id)
    _log_params(client, run_id, params)
    measured = {**files.read_json(files.METRICS, "dvc repro"), **training}
    numbers = {name: value for name, value in measured.items() if isinstance(value, float)}
    started = int(_when(training["started"]).timestamp() * 1000)
    client.log_batch(run_id, [Metric(name, value, started, 0) for name, value in numbers.items()])
    if files.PLOTS.is_dir():
        client.log_artifacts(run_id, str(files.PLOTS), "plots")
    client.set_terminated(run_id)
    return run_id


def _when(started: str | None) -> datetime:
    return datetime.fromisoformat(started) if started else datetime.now(UTC)


def _run_name(params: Params, commit: str | None) -> str:
    return f"{params.data.training} {(commit or 'no commit')[:8]}"


def _log_params(client: "MlflowClient", run_id: str, params: Params) -> None:
    """Log the settings, under names and in lengths that MLflow takes; params.yaml has them all."""
    from mlflow.entities import Param

    logged = {}
    for key, value in flatten(params.model_dump()).items():
        text = str(value)
        cut = text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 1]}…"
        logged[NO_NAME.sub("_", key)[:NAME_LENGTH]] = cut
    batch = [Param(*pair) for pair in logged.items()]
    for start in range(0, len(batch), BATCH):
        client.log_batch(run_id, params=batch[start : start + BATCH])
