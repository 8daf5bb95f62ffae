"""MLflow's own pages on the registry, for whoever sits at this machine."""

import os
import socket
import sys

from mlops.project.errors import MlopsError
from mlops.registry import database, tracking

HOST = "127.0.0.1"  # who reaches these pages may delete versions
QUIET = {"MLFLOW_LOGGING_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore"}  # where nothing is set


def run(port: int) -> None:
    """Print where the pages are; those of the built-in registry are served until Ctrl-C.

    Raises
    ------
    MlopsError
        When there is no registry yet, it is damaged, or the port is taken.
    """
    uri = tracking.tracking_uri()
    if not uri.startswith("sqlite:"):
        print(f"The registry is a server: {tracking.public(uri)}")
        return
    tracking.connect(reading=True)  # refuses a damaged one
    if not (path := database.to_path(uri)).exists():
        raise MlopsError(
            f"there is no registry yet ({path}); `make repro` makes one, and `mlops store pull` "
            "brings the one that the workflows keep"
        )
    _refuse_taken(port)
    print(f"MLflow on {path}, in a few seconds: http://{HOST}:{port} (Ctrl-C stops it)")
    print("To change the champion, use `mlops promote` or `mlops rollback`: those are on record")
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    # Artifacts lie beside the database, as elsewhere, and not behind a proxy of this server.
    command += ["--backend-store-uri", uri, "--registry-store-uri", uri]
    command += ["--no-serve-artifacts", "--default-artifact-root", database.ARTIFACTS]
    own = {tracking.URI: uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    sys.stdout.flush()
    environment = tracking.SETTINGS | QUIET | os.environ | own
    os.execve(sys.executable, command, environment)  # noqa: S606  no shell is wanted


def _refuse_taken(port: int) -> None:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((HOST, port))
        except OSError as error:
            raise MlopsError(
                f"port {port} is not to be had ({error.strerror}); name another, such as "
                f"`make ui PORT={port + 1}`"
            ) from None
