"""Projects to train and break: the machinery of this one around the flights in tests/example."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[1]
# In the template itself, a Makefile of its own includes it.
MAKEFILE = next(path for path in (ROOT / "project.mk", ROOT / "Makefile") if path.is_file())
EXAMPLE = ROOT / "tests" / "example"
MACHINERY = ["src/mlops", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore"]
FROM_ROOT = [
    *MACHINERY,
    "data/source",
    ".gitattributes",
    ".gitignore",
    "requirements.txt",
    "pyproject.toml",
]


class Project:
    """A project in a folder of its own, run as a person runs it: by its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "GIT_", "GITHUB_", "DVC_", "WANDB_"))
        }
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "COLUMNS": "200",
        }

    def run(self, *command: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; a surprise shows all that it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file as a person would; the old text must be there exactly once."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} holds {text.count(old)} times {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def set(self, **settings: Any) -> None:
        """Change ``params.yaml``: ``set(gate__margin=0.1)`` is ``gate: {margin: 0.1}``."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in settings.items():
            *sections, last = key.split("__")
            section = params
            for name in sections:
                section = section[name]
            section[last] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def json(self, name: str) -> Any:
        """Read ``reports/{name}.json``."""
        return json.loads((self.folder / f"reports/{name}.json").read_text(encoding="utf-8"))

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "State of the test")

    def copy(self, folder: Path) -> Self:
        shutil.copytree(self.folder, folder, symlinks=True)
        return type(self)(folder)


P = TypeVar("P", bound=Project)


@dataclass(frozen=True)
class Workshop:
    """Makes each named project once, whichever test process asks first."""

    folder: Path

    def make(
        self, name: str, kind: type[P], start: Callable[[Path], P], change: Callable[[P], object]
    ) -> P:
        final, unfinished = self.folder / name, self.folder / f"{name}.unfinished"
        with FileLock(self.folder / f"{name}.lock"):
            if not final.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                change(start(unfinished))
                unfinished.rename(final)
        return kind(final)


def copy_from_root(path: str, folder: Path) -> None:
    """Copy a file or folder of this project to the same place in another."""
    source, target = ROOT / path, folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def make_project(folder: Path, kind: type[P] = Project) -> P:
    """Make a project of this one's machinery and the example, committed, with nothing trained."""
    for path in FROM_ROOT:
        copy_from_root(path, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXAMPLE / "model", folder / "src" / "model", ignore=ignored)
    shutil.copyfile(EXAMPLE / "params.yaml", folder / "params.yaml")
    project = kind(folder)
    project.run("git", "init", "--quiet")
    project.run("git", "config", "user.name", "Ada Lovelace")
    project.run("git", "config", "user.email", "ada@example.org")
    project.run("git", "config", "commit.gpgsign", "false")
    project.commit()
    return project
