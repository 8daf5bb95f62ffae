"""A project from before an update goes through it, with its store, and on around the loop.

What ``frozen`` holds, its README says.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from generation import ROOT, commit, succeed, tracked

FROZEN = Path(__file__).parent / "frozen"
STAY = ("data", "model", "loop")  # of the folders in tests


def thaw(folder: Path) -> Path:
    """Make the old project, as far as its owner had come with it."""
    template = folder / "template"
    shutil.unpack_archive(FROZEN / "template.tar.xz", template)
    commit(template, "The template as it was")
    succeed("cruft", "create", "--no-input", template.as_uri(), cwd=folder)
    project = folder / "flight-delays"
    shutil.unpack_archive(FROZEN / "project.tar.xz", project)
    return project


def publish(template: Path) -> None:
    """Make the template what it is today."""
    for path in template.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in tracked(ROOT):
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, template / name, follow_symlinks=False)
    for link in (template / "{{cookiecutter.project_slug}}/tests").iterdir():
        if link.name not in STAY:
            link.unlink()
    commit(template, "The template as it is")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} holds {text.count(old)} times {old!r}"
    file.write_text(text.replace(old, new))


class Loop:
    """The commands of a project, run by the environment of these tests."""

    def __init__(self, project: Path) -> None:
        self.project = project

    def run(self, *command: str) -> str:
        return succeed(
            *command,
            cwd=self.project,
            PYTHONPATH=str(self.project / "src"),
            DVC_NO_ANALYTICS="1",
            DO_NOT_TRACK="1",
            MLFLOW_DISABLE_TELEMETRY="true",
            COLUMNS="200",
        )

    def json(self, name: str) -> Any:
        return json.loads((self.project / "reports" / f"{name}.json").read_text())


def test_an_older_project_goes_through_the_update_and_around_the_loop(tmp_path: Path) -> None:
    project = thaw(tmp_path)
    loop = Loop(project)
    (project / "tests/unit/test_mine.py").write_text("def test_mine() -> None: ...\n")
    edit(project / "src/model/features.py", "import numpy as np\n", "import numpy as np  # mine\n")
    edit(project / "pyproject.toml", '    "urllib3",\n', '    "urllib3",\n    "holidays",\n')
    commit(project, "My own")
    publish(tmp_path / "template")
    said = loop.run("cruft", "update", "--skip-apply-ask")
    print(said)
    print(loop.run("git", "status", "--porcelain"))
