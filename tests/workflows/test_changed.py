"""What a change is about decides whether a workflow trains: `make changed`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import MAKEFILE

SAME, OTHER = "changed=false\n", "changed=true\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("src/model/features.py", OTHER),
        ("params.yaml", OTHER),
        ("data/flights.csv.dvc", OTHER),
        ("dvc.lock", OTHER),
        ("requirements.txt", OTHER),
        ("src/mlops/judgement/gate.py", OTHER),
        (".github/workflows/train.yml", SAME),
        ("tests/store/test_store.py", SAME),
        ("tests/model/test_model.py", SAME),
        ("reports/retraining/2013-06-30/drift.json", SAME),
        ("README.md", SAME),
    ],
)
def test_a_file_decides_the_model_or_not(tmp_path: Path, path: str, said: str) -> None:
    shutil.copyfile(MAKEFILE, tmp_path / "Makefile")
    for text in ("before", "after"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")
        if text == "before":
            run(tmp_path, "git", "init", "--quiet")
        run(tmp_path, "git", "add", "--all")
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        run(tmp_path, "git", *who, "commit", "--quiet", "--message", text)
    assert run(tmp_path, "make", "--silent", "changed") == said


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "SINCE": "HEAD~1", "GIT_CONFIG_GLOBAL": os.devnull}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environment.pop(name, None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_all_has_changed_since_a_commit_that_is_not_there(tmp_path: Path) -> None:
    shutil.copyfile(MAKEFILE, tmp_path / "Makefile")
    run(tmp_path, "git", "init", "--quiet")
    assert run(tmp_path, "make", "--silent", "changed") == OTHER
