"""Clones of a project and the branch of their origin that keeps the store."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.drift import history
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import database, tracking

OVERTAKEN = (
    "; nothing is changed, there or in .store. Run `mlops store pull` (it refuses to drop versions "
    "that only .store has, unless told --force), then register again; in Actions, re-run all jobs"
)


def git(*arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["git", *arguments], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(function: Callable[[], Any]) -> str:
    """Return the one line that the user reads."""
    with pytest.raises(MlopsError) as caught:
        function()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert ".git/mlops" not in sentence, "our own folders mean nothing to the user"
    return sentence


def content(folder: Path = files.STORE) -> dict[str, bytes]:
    """Return the bytes of every file that counts."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != tracking.LOCK and path.parent.name != "__pycache__"
    }


def versions() -> set[int]:
    return {version.number for version in database.versions(files.STORE / database.NAME)}


def check_drift(*names: str) -> None:
    """Note checks in the history of drift, as ``mlops drift --record`` does."""
    for name in names:
        files.append_line(files.STORE / "drift.jsonl", {"id": name, "checked": name})


def checks() -> list[str]:
    return [entry["id"] for entry in history.read()]


def branch() -> str:
    """Return the commit that origin has for the branch."""
    return git("ls-remote", "origin", "refs/heads/mlops-store").split()[0]


def clone(project: Path, folder: Path) -> Path:
    """Make another clone of a project's origin."""
    git("clone", "--quiet", git("-C", str(project), "remote", "get-url", "origin"), str(folder))
    return folder
