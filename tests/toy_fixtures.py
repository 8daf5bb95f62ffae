"""Fixtures: a small project with a real model in a real registry, a copy for each test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from projects import Project, Workshop
from toy_project import ToyProject

from mlops.registry import promotion, tracking


@pytest.fixture(scope="session")
def template(workshop: Workshop) -> Path:
    """A project with champion 1 and challenger 2, which was judged better than 1.

    ``empty.db`` beside ``.store`` is a registry without models, to spare a test the migrations.
    """

    def start(folder: Path) -> Project:
        folder.mkdir()
        return Project(folder)

    def register(made: Project) -> None:
        project = ToyProject()
        with pytest.MonkeyPatch.context() as patch:
            _enter(made.folder, patch)
            client = tracking.connect()
            shutil.copyfile(".store/mlflow.db", "empty.db")
            project.register(1, "first", champion=None)
            promotion.promote(client, project.params)
            project.register(2)

    return workshop.make("toy", Project, start, register).folder


@pytest.fixture
def project(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ToyProject]:
    """A copy of the template that the test may change; it is the working folder."""
    shutil.copytree(template, tmp_path / "project")
    _enter(tmp_path / "project", monkeypatch)
    with mock.patch.dict(os.environ):  # MLflow exports the address that it was told last
        yield ToyProject()


@pytest.fixture
def killed_at() -> Callable[[Callable[[], Any], Callable[[Any], None]], None]:
    """Run a function in a process of its own that ends in the middle, without any clean-up."""

    def run(function: Callable[[], Any], arm: Callable[[Any], None]) -> None:
        child = os.fork()
        if child == 0:
            arm(lambda *_, **__: os._exit(9))
            function()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, "was not killed"

    return run


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    patch.setenv("GITHUB_ACTOR", "amelia")
