"""What every test may ask for: a new project, or one that has been trained."""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from projects import ROOT, Project, Workshop, make_project

# Two workers share the cores: with a thread for each core in each, they would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Inside Actions, what the tests run must not take itself for a step of this workflow.
for name in [name for name in os.environ if name.startswith("GITHUB_")]:
    del os.environ[name]


# The user's tests, and those that look at this repository as a whole, belong in its folder.
NOWHERE = tempfile.TemporaryDirectory(prefix="nowhere-")
AT_HOME = ("data", "model", "template", "workflows")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Run the others in an empty folder: no model or data that lies about decides about them."""
    at_home = item.path.relative_to(ROOT / "tests").parts[0] in AT_HOME
    os.chdir(ROOT if at_home else NOWHERE.name)
    # Nor does one that a test before it has imported from a project of its own.
    for name in [name for name in sys.modules if name.split(".")[0] == "model"]:
        place = getattr(sys.modules[name], "__file__", None)
        if not place or not Path(place).is_relative_to(ROOT):
            del sys.modules[name]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested, a line for each reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{tests} skipped: {reason}")


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
