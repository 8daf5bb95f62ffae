"""Services of exports to try: one that is all right, and some that are not."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from exports import alter, make_export
from projects import Project
from running_service import RunningService


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
