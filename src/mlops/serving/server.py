"""Runs the application in uvicorn: in this process, or in several that share one socket."""

import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from mlops.project.errors import MlopsError
from mlops.serving.protocol import Protocol
from mlops.serving.settings import Settings

METRICS = "PROMETHEUS_MULTIPROC_DIR"


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Raises
    ------
    MlopsError
        When the settings or the model make it impossible.
    """
    signal.signal(signal.SIGTERM, _leave)
    bound = _bind(settings.host, settings.aip_http_port or settings.port)
    if settings.workers == 1:
        return _run_here(settings, bound)
    folder = tempfile.mkdtemp(prefix="serving-metrics-")
    os.environ[METRICS] = folder
    try:
        return _run_workers(settings, bound)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_here(settings: Settings, bound: socket.socket) -> int:
    from mlops.serving.application import Service

    service = Service(settings)
    _say(bound)
    server = uvicorn.Server(_configure(settings, service))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[bound])
    return 0 if server.started else STARTUP_FAILURE


def _run_workers(settings: Settings, bound: socket.socket) -> int:
    from mlops.serving import json_log, served_model

    json_log.configure(settings.log_level)
    served_model.load(Path(settings.model_dir))  # says what is wrong once, not once a worker
    _say(bound)
    config = _configure(settings, "mlops.serving.application:create", workers=settings.workers)
    supervisor = Multiprocess(config, [bound])
    supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


def _configure(settings: Settings, app: object, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=isinstance(app, str),
        workers=workers,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,  # type: ignore[arg-type]
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        raise MlopsError(
            f"cannot listen at {host}:{port}: {os.strerror(error.errno or 0)}; set HOST and PORT"
        ) from None
    bound.set_inheritable(True)
    return bound


def _say(bound: socket.socket) -> None:
    from mlops.serving.json_log import logger

    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.info("listening at http://%s:%d", shown, port, extra={"fields": {"port": port}})


def _leave(*_: object) -> None:
    # Before there is anything to finish; and uvicorn sends SIGTERM again when all is finished.
    sys.exit(0)
