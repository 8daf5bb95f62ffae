"""Services to ask and to break."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from exports import alter, make_export
from projects import Project
from running_service import RunningService

Start = Callable[..., RunningService]


@pytest.fixture
def service(trained: Project, tmp_path: Path) -> Iterator[Start]:
    """Starts services: ``service(api_key="secret")``, or of another ``model``; each is stopped."""
    started: list[RunningService] = []

    def start(model: Path | None = None, **settings: Any) -> RunningService:
        folder = tmp_path / f"service-{len(started)}"
        started.append(RunningService(model or trained / "models", folder, **settings))
        return started[-1].wait()

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="package")
def running(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service with a prediction log, for tests that only ask; its folder is ``log``."""
    folder = tmp_path_factory.mktemp("running")
    settings = {"prediction_log_uri": folder / "log", "prediction_log_flush_seconds": 0.05}
    one = RunningService(trained / "models", folder, **settings)
    yield one.wait()
    one.kill()


@pytest.fixture(scope="package")
def exported(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the trained model; copy it before changing anything."""
    return make_export(trained, tmp_path_factory.mktemp("exported") / "export")


@pytest.fixture(scope="package")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts services of exports: ``serve(export, api_key="secret")`` returns the address."""
    started: list[RunningService] = []

    def start(export: Path, **settings: Any) -> str:
        folder = tmp_path_factory.mktemp("service")
        started.append(RunningService(export / "model", folder, **settings))
        return started[-1].wait().url

    yield start
    for one in started:
        one.kill()


@pytest.fixture(scope="package")
def served(serve: Callable[..., str], exported: Path) -> str:
    """The address of a service that is all right."""
    return serve(exported)


@pytest.fixture(scope="package")
def altered(
    serve: Callable[..., str], exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Serves the same model with other feature code: ``slow``, ``failing`` or ``shifted``."""

    @cache
    def start(kind: str) -> str:
        return serve(alter(exported, kind, tmp_path_factory.mktemp("altered") / kind))

    return start
