"""The way to MLflow: the built-in store under ``.store``, or the server that the user named."""

import errno
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from filelock import FileLock

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import database

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI = "MLFLOW_TRACKING_URI"
LOCK = "lock"

SERVER_SECONDS = 5
REASON_LENGTH = 300  # MLflow quotes whole SQL statements
SETTINGS = {  # where the user has set nothing
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Else MLflow holds on to the old file of a store that is replaced meanwhile.
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own 7 retries wait for four minutes before they tell that a server is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}
NOISY = ("alembic", "mlflow.store", "mlflow.tracking", "mlflow.utils.environment")


def connect(*, reading: bool = False) -> "MlflowClient":
    """Point MLflow at this project's registry and return a client that has been answered.

    ``MLFLOW_TRACKING_URI`` names a server; without it the registry is ``.store/mlflow.db`` under
    the working directory, made on first use.

    Parameters
    ----------
    reading : bool
        The client only has to look up registered models and versions, so that the built-in
        registry is read without MLflow, and not made.

    Raises
    ------
    MlopsError
        When the server does not answer, or the database is damaged. Nothing has been written then.
    """
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        path = database.to_path(uri)
        _check(path)
        if reading:
            return cast("MlflowClient", database.Reader(uri))
        if not path.exists():
            _make(path)
        if not os.access(path, os.W_OK):  # SQLite would say so with a whole statement
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    _quiet()
    try:
        import mlflow
    except ModuleNotFoundError:  # as with the lock of deliveries, which is for the built-in one
        raise MlopsError(
            f"a registry on a server ({public(uri)}) is asked through MLflow, which is not "
            "installed here; in workflows, name the server as tracking_uri in params.yaml"
        ) from None

    given = {name: os.environ.get(name) for name in (URI, "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    # MLflow exports what it was told, and another project would take that for the user's choice.
    for name, value in given.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with answers(uri):
        _knock(uri)
        client = mlflow.MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: "MlflowClient", name: str) -> str:
    """Return the id of experiment ``name``, made when it does not exist."""
    from mlflow.exceptions import MlflowException

    location = database.ARTIFACTS if client.tracking_uri.startswith("sqlite:") else None
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            experiment = client.get_experiment_by_name(name)  # another process may have been first
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def address(client: "MlflowClient", experiment: str, run_id: str) -> str:
    """Return where MLflow's pages show a run; of the built-in registry, which has none, the id."""
    if not client.tracking_uri.startswith("http"):
        return run_id
    return f"{public(client.tracking_uri).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"


def tracking_uri() -> str:
    """Return the URI in force: the user's, else the built-in store of the working directory."""
    return os.environ.get(URI) or database.to_uri(files.STORE / database.NAME)


@contextmanager
def answers(uri: str) -> Iterator[None]:
    """Turn MLflow's errors about ``uri`` into one line for the user."""
    try:
        yield
    except Exception as error:
        # MlflowException, by what it has: its import alone takes seconds.
        if not isinstance(error, sqlite3.Error) and not hasattr(error, "error_code"):
            raise
        local = uri.startswith("sqlite:")
        where = str(database.to_path(uri)) if local else f"{URI}={public(uri)}"
        reason = " ".join(str(error).split()).replace(uri, public(uri))
        raise MlopsError(f"MLflow fails at {where}: {reason[:REASON_LENGTH]}") from None


def public(uri: str) -> str:
    """Leave a password out of what is printed."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def store_lock() -> FileLock:
    """Return the lock that whoever changes the registry holds."""
    files.STORE.mkdir(parents=True, exist_ok=True)
    return FileLock(files.STORE / LOCK)


def _check(path: Path) -> None:
    """Refuse a damaged database, and one that is gone while its artifacts are there."""
    folder = path.parent
    others = (folder / "artifacts", folder.with_name(f"{folder.name}.replaced"))
    remains = [other for other in others if other.exists()]
    if path.exists():
        if problem := database.damage(path):
            raise MlopsError(
                f"{path} is damaged ({problem}); restore it with `mlops store restore DIR`, "
                f"or delete {folder} to start anew"
            )
    elif remains:
        raise MlopsError(
            f"{path} is not there but {remains[0]} is; restore the store with "
            f"`mlops store restore DIR`, or delete {remains[0]} to start anew"
        )


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / LOCK):  # two first users would race the migrations
        if not path.exists():
            files.write_atomic(path, _create_database)


def _create_database(path: Path) -> None:
    print(f"Making the model registry in {files.STORE} (once, a few seconds)", file=sys.stderr)
    _quiet()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import Engine, event

    def hurry(connection: sqlite3.Connection, _: object) -> None:
        # Each of 70 migrations would wait for the disk, for a file that has no name yet.
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    SqlAlchemyStore(database.to_uri(path), database.ARTIFACTS).engine.dispose()
    event.remove(Engine, "connect", hurry)


def _quiet() -> None:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for logger in NOISY:
        logging.getLogger(logger).setLevel(logging.ERROR)


def _knock(uri: str) -> None:
    """Ask a server once, without the retries, whether it is there."""
    if not uri.startswith("http"):
        return
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    creds = get_default_host_creds(uri)
    try:
        http_request(creds, "/health", "GET", max_retries=0, timeout=SERVER_SECONDS)
    except MlflowException:
        raise MlopsError(
            f"{URI}={public(uri)} does not answer; start the server or correct the address, "
            f"or unset {URI} to use {files.STORE}"
        ) from None
