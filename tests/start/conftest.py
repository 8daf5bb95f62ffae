"""Projects as they come from the template, with the example still in them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from projects import FROM_ROOT, copy_from_root
from workbench import Workbench

ITS_OWN = ["src/model", "params.yaml", "data/README.md", "tests/data", "tests/model", "tests/loop"]


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Workbench]:
    """Make a project in which nothing was touched, and nothing committed."""

    def make() -> Workbench:
        project = Workbench(tmp_path / "project")
        for path in [*FROM_ROOT, *ITS_OWN]:
            copy_from_root(path, project.folder)
        project.run("git", "init", "--quiet")
        return project

    return make


@pytest.fixture
def project(fresh: Callable[[], Workbench]) -> Workbench:
    return fresh()
