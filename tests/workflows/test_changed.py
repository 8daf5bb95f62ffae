"""What a change is about decides what a workflow does: `make changed`, `make changed-machinery`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import MAKEFILE

SAME, OTHER = "changed=false\n", "changed=true\n"


@pytest.mark.parametrize(
    ("path", "model", "machinery"),
    [
        ("src/model/features.py", OTHER, SAME),
        ("params.yaml", OTHER, SAME),
        ("data/flights.csv.dvc", OTHER, SAME),
        ("dvc.lock", OTHER, SAME),
        ("requirements.txt", OTHER, OTHER),
        ("src/mlops/judgement/gate.py", OTHER, OTHER),
        (".github/workflows/train.yml", SAME, OTHER),
        ("tests/unit/test_store.py", SAME, OTHER),
        ("tests/model/test_model.py", SAME, SAME),
        ("reports/retraining/2013-06-30/drift.json", SAME, SAME),
        ("README.md", SAME, SAME),
    ],
)
def test_a_file_belongs_to_the_model_or_the_machinery(
    tmp_path: Path, path: str, model: str, machinery: str
) -> None:
    shutil.copyfile(MAKEFILE, tmp_path / "Makefile")
    for text in ("before", "after"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")
        if text == "before":
            run(tmp_path, "git", "init", "--quiet")
        run(tmp_path, "git", "add", "--all")
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        run(tmp_path, "git", *who, "commit", "--quiet", "--message", text)
    assert run(tmp_path, "make", "--silent", "changed") == model
    assert run(tmp_path, "make", "--silent", "changed-machinery") == machinery


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
    assert run(tmp_path, "make", "--silent", "changed-machinery") == OTHER
