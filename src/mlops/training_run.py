"""The MLflow run of a training: opened before the fit, so that a failed one leaves a trace too."""

import math
import platform
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mlops import files, tracking
from mlops.git import Commit
from mlops.params import Params, flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient


class TrainingRun:
    """A context in which the run is open; leaving it by an exception marks the run as failed."""

    def __init__(self, params: Params, commit: Commit) -> None:
        self._client = tracking.connect()
        data = files.read_json(files.DATA_REPORT, "dvc repro")
        run = self._client.create_run(
            tracking.experiment_id(self._client, params.name),
            run_name=f"{params.data.window} {(commit.sha or 'no commit')[:8]}",
            tags={
                "mlflow.source.git.commit": commit.sha or "",
                "git_dirty": str(commit.dirty).lower(),
                "data_md5": data["md5"],
                "holdout_md5": files.md5(files.HOLDOUT),
                "requirements_md5": files.md5(files.LOCK),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "host": socket.gethostname(),
            },
        )
        self.id: str = run.info.run_id
        _log_params(self._client, self.id, params)

    def __enter__(self) -> "TrainingRun":
        return self

    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Log metrics by name; an undefined one (NaN) is left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        defined = {name: value for name, value in metrics.items() if not math.isnan(value)}
        batch = [Metric(name, value, now, 0) for name, value in defined.items()]
        self._client.log_batch(self.id, metrics=batch)

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


def resume(client: "MlflowClient", params: Params, run_id: str) -> str:
    """Return ``run_id``, or the id of a new run when this registry does not have that one.

    A model that DVC restored was trained elsewhere; the new run is tagged with the original's id.
    """
    from mlflow.exceptions import MlflowException

    try:
        if client.get_run(run_id).info.lifecycle_stage == "active":
            return run_id
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = tracking.experiment_id(client, params.name)
    run = client.create_run(experiment, tags={"trained_in_run": run_id})
    _log_params(client, run.info.run_id, params)
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _log_params(client: "MlflowClient", run_id: str, params: Params) -> None:
    from mlflow.entities import Param

    batch = [Param(key, str(value)) for key, value in flatten(params.model_dump()).items()]
    client.log_batch(run_id, params=batch)
