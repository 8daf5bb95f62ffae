"""A small project whose stages run in clones of their own, with a folder as DVC remote."""

import subprocess
import sys
from pathlib import Path

from parcels import parcels
from projects import Project


def small_project(folder: Path) -> Project:
    """Make the parcels in ``folder/parcels``, with a file that DVC keeps, committed."""
    project = parcels(folder)
    project.run("dvc", "remote", "modify", "store", "url", str(folder / "remote"))
    (project / "data/source/weights.csv").write_text("kind,weight\nbox,1\n", encoding="utf-8")
    project.run("dvc", "add", "data/source/weights.csv")
    project.run("mlops", "push-data")
    project.commit()
    return Project(project.folder)


def environment(folder: Path, package: str) -> Path:
    """Make an environment for what is not in the lock; returns the folder of its programs."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin/python"
    install = [uv, "pip", "install", "--quiet", "--python", python, package]
    subprocess.run(install, check=True)
    return folder / "bin"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
