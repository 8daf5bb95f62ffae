"""A project on a disk that takes nothing: each command says so in a sentence."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project

COMMANDS = ("ingest", "validate", "train", "evaluate", "compare", "report", "register", "drift")


@pytest.fixture(scope="module")
def read_only(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A trained project, mounted so that nobody may write, root neither."""
    folder = tmp_path_factory.mktemp("read-only") / "project"
    folder.mkdir()
    if subprocess.run(["mount", "--bind", trained.folder, folder], check=False).returncode:
        pytest.skip("this user may not mount")
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_is_read_only_is_a_sentence(read_only: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlops.cli", "--project", read_only, command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("mlops: Read-only file system: ")
    assert said.endswith(
        "; mlops writes into the project's folder: give it one that may be written to and has room"
    )
    assert "Traceback" not in done.stderr
