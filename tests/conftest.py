"""What every test may ask for: a new project, or one that has been trained."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from projects import Project, make_project

# Two workers share the cores: with a thread for each core in each, they would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture
def new_project(tmp_path: Path) -> Project:
    """A project in which nothing has run yet."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example after one ``dvc repro``; look, and copy before changing anything."""
    return _once(tmp_path_factory, "trained", lambda folder: _trained(folder))


def _trained(folder: Path) -> None:
    project = make_project(folder)
    (folder / "repro.log").write_text(project.run("dvc", "repro").stdout, encoding="utf-8")


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Project:
    """Make a folder in the first worker that needs it; the others wait for it."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return Project(folder)
