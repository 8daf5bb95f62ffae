"""The MLflow run of a training: opened before the fit, so that a failed one leaves a trace too."""

import math
import multiprocessing
import platform
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlops.project import files
from mlops.project.git import Commit
from mlops.project.params import Params, flatten
from mlops.registry import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient


class TrainingRun:
    """A context in which the run is open; leaving it by an exception marks the run as failed.

    MLflow runs in a process of its own, so that it is imported while this one imports scikit-learn
    and reads the data: each takes seconds. The run is open before the block begins.
    """

    def __init__(self, params: Params, commit: Commit) -> None:
        self._opening, self._waiting = (params, commit), 0
        # Not a fork, which would copy locks that threads of NumPy hold.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()  # or neither side would see that the other has gone

    def __enter__(self) -> "TrainingRun":
        self._tell("open", *self._opening)
        self.id: str = self._answer()
        return self

    def log_metrics(self, metrics: dict[str, float]) -> None:
        """Log metrics by name; an undefined one (NaN) is left out."""
        self._tell("log_metrics", metrics)

    def log_files(self) -> None:
        """Log the files that reproduce the training."""
        self._tell("log_files")

    def log_plots(self, write: Callable[[Path], None]) -> None:
        """Log what ``write``, a function of a module, puts into a folder."""
        self._tell("log_plots", write)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        status = "FINISHED" if kind is None else "FAILED"
        self._tell("close", "KILLED" if kind is KeyboardInterrupt else status)
        while self._waiting:
            self._answer()
        self._pipe.close()
        self._process.join()

    def _tell(self, method: str, *arguments: Any) -> None:
        self._pipe.send((method, arguments))
        self._waiting += 1

    def _answer(self) -> Any:
        answer = self._pipe.recv()
        self._waiting -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(pipe: Connection) -> None:
    """Do in MLflow what comes through the pipe, until the other side has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the other side too, which says so
    tracking.load()
    run = _Run()
    with suppress(EOFError, BrokenPipeError):
        while True:
            method, arguments = pipe.recv()
            try:
                with tracking.answers(tracking.tracking_uri()):
                    pipe.send(getattr(run, method)(*arguments))
            except Exception as error:
                pipe.send(error)


class _Run:
    """The run in the process where MLflow is."""

    def open(self, params: Params, commit: Commit) -> str:
        self._client = tracking.connect()
        data = files.read_json(files.DATA_REPORT, "dvc repro")
        run = self._client.create_run(
            tracking.experiment_id(self._client, params.name),
            run_name=_run_name(params, commit.sha),
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
        self._id = str(run.info.run_id)
        _log_params(self._client, self._id, params)
        return self._id

    def log_metrics(self, metrics: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        defined = {name: value for name, value in metrics.items() if not math.isnan(value)}
        batch = [Metric(name, value, now, 0) for name, value in defined.items()]
        self._client.log_batch(self._id, metrics=batch)

    def log_files(self) -> None:
        for path in (files.PARAMS, files.LOCK, files.DATA_REPORT):
            self._client.log_artifact(self._id, str(path), "reproduce")

    def log_plots(self, write: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="mlops-") as folder:
            write(Path(folder))
            self._client.log_artifacts(self._id, folder, "plots")

    def close(self, status: str) -> None:
        self._client.set_terminated(self._id, status)


def resume(client: "MlflowClient", params: Params, training: dict[str, Any]) -> str:
    """Return the run of a training, or a copy of it when this registry does not have that run.

    A model that DVC or a workflow's artifact brought was trained elsewhere; the copy is tagged
    with the original's id.

    Parameters
    ----------
    training : dict
        What ``reports/training.json`` says.
    """
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    try:
        if client.get_run(training["run_id"]).info.lifecycle_stage == "active":
            return str(training["run_id"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = tracking.experiment_id(client, params.name)
    tags = {
        "trained_in_run": training["run_id"],
        "mlflow.source.git.commit": training["commit"] or "",
        "git_dirty": str(training["dirty"]).lower(),
        "requirements_md5": training["requirements_md5"],
        "python": training["python"],
        "platform": training["platform"],
    }
    run = client.create_run(experiment, run_name=_run_name(params, training["commit"]), tags=tags)
    run_id = str(run.info.run_id)
    _log_params(client, run_id, params)
    measured = {**files.read_json(files.METRICS, "dvc repro"), **training}
    numbers = {name: value for name, value in measured.items() if isinstance(value, float)}
    started = int(datetime.fromisoformat(training["started"]).timestamp() * 1000)
    client.log_batch(run_id, [Metric(name, value, started, 0) for name, value in numbers.items()])
    if files.PLOTS.is_dir():
        client.log_artifacts(run_id, str(files.PLOTS), "plots")
    client.set_terminated(run_id)
    return run_id


def _run_name(params: Params, commit: str | None) -> str:
    return f"{params.data.window} {(commit or 'no commit')[:8]}"


def _log_params(client: "MlflowClient", run_id: str, params: Params) -> None:
    from mlflow.entities import Param

    batch = [Param(key, str(value)) for key, value in flatten(params.model_dump()).items()]
    client.log_batch(run_id, params=batch)
