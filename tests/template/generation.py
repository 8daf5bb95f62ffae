"""Copies of the template, and commands that run as on a machine of somebody else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Programs of the environment that the tests run in come first.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
NAME = 'D\'Arcy & "Co" — Vögel 2. <b> $(touch x) `touch x`'
# The packages that uv has downloaded lie in the home folder of the user.
HOME = os.environ["HOME"]
IDENTITY = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")

Generate = Callable[..., Path]


def run(
    *command: str | Path, cwd: Path, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with a home folder of its own: no git identity, no settings of the user."""
    strange = {
        "PATH": PATH,
        "HOME": str(cwd.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        # Beside another test process, threads of a training wait for each other.
        "OMP_NUM_THREADS": "1",
    }
    # What the make, the pytest and the git around these tests tell their own children.
    around = ("MAKE", "MFLAGS", "PYTEST_", "GIT_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(around)}
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | strange | environment,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(*command: str | Path, cwd: Path, typed: str = "", **environment: str) -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = run(*command, cwd=cwd, typed=typed, **environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tracked(folder: Path) -> list[str]:
    """List the files of a repository that git tracks, or would track after `git add`."""
    listed = succeed("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=folder)
    return sorted({name for name in listed.split("\0") if os.path.lexists(folder / name)} - {""})


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder that is, or becomes, a repository."""
    succeed("git", "init", "--quiet", cwd=folder)
    succeed("git", "add", "--all", cwd=folder)
    succeed("git", *IDENTITY, "commit", "--quiet", "--message", message, cwd=folder)


def copy_of_the_template(folder: Path) -> Path:
    """Copy what git tracks of the working folder, links as links, and commit it."""
    for name in tracked(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    commit(folder, "The template")
    return folder


def with_environment(folder: Path) -> Path:
    """Generate a project with a name and in a folder that hurt, commit it, and set it up."""
    project = with_hurting_name(folder)
    said = succeed("make", "setup", cwd=project, HOME=HOME)
    assert "Making the environment in .venv with " in said
    return project


def with_this_environment(folder: Path) -> Path:
    """Do the same, but let it use the packages of the environment that these tests run in."""
    project = with_hurting_name(folder)
    succeed(
        sys.executable,
        ROOT / "tests/workflows/github/standins/setup-python/main.py",
        cwd=project,
        PYTHONPATH=str(ROOT / "tests/workflows/github/runner"),
        LOCAL_GITHUB=str(folder),
        LOCAL_GITHUB_PYTHON=sys.prefix,
        GITHUB_WORKSPACE=str(project),
        GITHUB_OUTPUT=str(folder / "output"),
    )
    return project


def with_hurting_name(folder: Path) -> Path:
    """Generate a project with a name and in a folder that hurt, and commit it."""
    outer = folder / "it's a \u201cfolder\u201d & more"
    outer.mkdir()
    template = copy_of_the_template(outer / "template")
    answers = dict.fromkeys(("project_name", "description", "author"), NAME)
    answers_file = outer / "answers.json"
    answers_file.write_text(json.dumps({**answers, "github_owner": "o"}))
    succeed(
        *("cruft", "create", template.as_uri(), "--no-input"),
        *("--extra-context-file", answers_file),
        cwd=outer,
    )
    project = outer / "d-arcy-co-vogel-2-b-touch-x-touch-x"
    commit(project, "First")
    return project
