"""Services to ask and to break."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
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
