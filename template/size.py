"""What a generated project consists of: files, lines of code, packages, megabytes.

``python template/size.py [FOLDER]`` counts the project in FOLDER, or one that it generates from
this folder with every default, beside a project from before the proofs stayed in the template.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[1]
CODE = {".py", ".yml", ".yaml", ".j2", ".mk"}
# Of the version of 25 November 2026, counted by this file.
BEFORE = {"files": 406, "lines of code": 47_155, "packages": 277, "MB installed": 1720}


def count(project: Path) -> dict[str, int]:
    """Count the files of a project that git would track, and what its lock installs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = [project / name for name in listed.split("\0") if name]
    code = [path for path in files if path.suffix in CODE or path.name == "Makefile"]
    lock = (project / "requirements.txt").read_text(encoding="utf-8")
    found = {
        "files": len(files),
        "lines of code": sum(len(path.read_bytes().splitlines()) for path in code),
        "packages": len(re.findall("^.*==", lock, re.MULTILINE)),
    }
    if (project / ".venv").is_dir():
        command = ["du", "--summarize", "--block-size=1M", "--exclude=*.pyc", project / ".venv"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found["MB installed"] = int(said.split()[0])
    return found


def generate(folder: Path) -> Path:
    """Generate a project with every default."""
    settings = {"cookiecutters_dir": f"{folder}/templates", "replay_dir": f"{folder}/replay"}
    made = cookiecutter(str(ROOT), no_input=True, output_dir=str(folder), default_config=settings)
    return Path(made)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        now = count(Path(sys.argv[1]) if sys.argv[1:] else generate(Path(folder)))
    print(f"\n{'':16}{'now':>8}{'before':>8}")
    for name, before in BEFORE.items():
        print(f"{name:16}{now.get(name, '-'):>8}{before:>8}")


if __name__ == "__main__":
    main()
