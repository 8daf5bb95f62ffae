"""What every test may ask for: a new project, or one that has been trained."""

import os
from pathlib import Path

import pytest
from projects import Project, Workshop, make_project

# Two workers share the cores: with a thread for each core in each, they would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Inside Actions, what the tests run must not take itself for a step of this workflow.
for name in [name for name in os.environ if name.startswith("GITHUB_")]:
    del os.environ[name]


@pytest.fixture
def new_project(tmp_path: Path) -> Project:
    """A project in which nothing has run yet."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Where projects that are expensive to make are made once, for all test processes."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "workshop"
    folder.mkdir(exist_ok=True)
    return Workshop(folder)


@pytest.fixture(scope="session")
def trained(workshop: Workshop) -> Project:
    """The example after one ``dvc repro``; look, and copy before changing anything."""
    return workshop.make("trained", Project, make_project, lambda it: it.run("dvc", "repro"))
