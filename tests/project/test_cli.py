"""What the commands say: help that helps, and errors of one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import MAKEFILE, ROOT, Project
from workbench import Workbench

from mlops import __version__
from mlops.project import files

STORE_COMMANDS = [
    f"store {name}" for name in ("save", "restore", "pull", "push", "promote", "rollback", "record")
]
COMMANDS = (
    *("ingest", "validate", "features", "train", "evaluate", "compare", "report"),
    *("verdict", "reviewed", "register", "promote", "rollback", "lineage", "store"),
    *("image", "card", "export", "ui", "label"),
    *("drift", "move-window", "evidence"),
)


def test_help_lists_every_command_with_a_sentence(new_project: Project) -> None:
    said = new_project.run("mlops", "--help").stdout
    for command in COMMANDS:
        (line,) = [line for line in said.splitlines() if line.startswith(f"│ {command} ")]
        assert len(line.split()) > 5, line


def test_the_version_is_said_also_outside_a_project(tmp_path: Path) -> None:
    mlops = Path(sys.executable).parent / "mlops"
    done = subprocess.run([mlops, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize("command", [*COMMANDS, *STORE_COMMANDS])
def test_help_of_a_command_says_more_than_its_name(new_project: Project, command: str) -> None:
    said = new_project.run("mlops", *command.split(), "--help").stdout
    assert len(said.split()) > 15


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("validate", "data/raw.parquet is not there; run `dvc repro`"),
        ("features", "data/checked.parquet is not there; run `dvc repro`"),
        ("train", "data/train.parquet is not there; run `dvc repro`"),
        ("evaluate", "models/model.json is not there; run `dvc repro`"),
        ("compare", "models/model.json is not there; run `dvc repro`"),
        ("report", "reports/data.json is not there; run `dvc repro`"),
        ("register", "models/model.json is not there; run `dvc repro`"),
        ("promote", "flight-delays has no challenger"),
        ("rollback", "flight-delays has no champion"),
        ("lineage 1", "flight-delays has no version 1"),
        ("lineage champion --field image", "flight-delays has no version with the alias champion"),
        ("promote --check", "flight-delays has no challenger"),
        ("rollback --check", "flight-delays has no champion"),
        ("image 1 ghcr.io/ada/flights:1", "does not name an image for ever"),
        ("card", "flight-delays has no version with the alias champion; aliases: none"),
        ("export build/image", "flight-delays has no version with the alias challenger"),
        ("ui", "there is no registry yet ("),
        ("move-window", "reports/drift.json is not there; run `mlops drift`"),
        ("evidence", "reports/drift.json is not there; run `mlops drift`"),
        ("label labels.csv", "set PREDICTION_LOG_URI, or pass --log"),
        ("store save copy", ".store"),
        ("store restore nowhere", "nowhere"),
    ],
)
def test_too_early_is_one_line_that_says_what_to_do(
    new_project: Project, command: str, said: str
) -> None:
    assert said in Workbench(new_project.folder).refused(*command.split())


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("--help", "pydantic yaml numpy pandas sklearn mlflow"),
        ("report", "yaml numpy pandas sklearn mlflow"),
        ("verdict", "yaml numpy pandas sklearn mlflow"),
        ("store save copy", "sqlalchemy pandas sklearn mlflow"),
        ("promote --check", "sqlalchemy pandas sklearn mlflow"),
        ("rollback --check", "sqlalchemy pandas sklearn mlflow"),
        ("lineage champion", "sqlalchemy pandas sklearn mlflow"),
        ("card", "sqlalchemy pandas sklearn mlflow"),
        ("export build/image", "sqlalchemy pandas sklearn mlflow"),
        ("ui", "sqlalchemy pandas sklearn mlflow"),
        ("label labels.csv", "sklearn mlflow"),
        ("drift", "sklearn mlflow"),
        ("evidence", "sklearn mlflow"),
    ],
)
def test_a_command_imports_only_what_it_uses(
    new_project: Project, command: str, heavy: str
) -> None:
    program = (
        "import sys, mlops.cli as cli\n"
        f"sys.argv = ['mlops', *{command.split()}]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        f"print('IMPORTED', *{set(heavy.split())} & set(sys.modules))\n"
    )
    printed = new_project.run(sys.executable, "-c", program).stdout
    assert printed.splitlines()[-1] == "IMPORTED"


def test_outside_a_project(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "mlops", "validate"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("mlops: no params.yaml in ")


def test_a_project_is_found_from_a_folder_inside_it(new_project: Project) -> None:
    inside = Project(new_project.folder)
    inside.folder = new_project / "src"
    done = inside.run("mlops", "report", fails=True)
    assert "reports/data.json is not there" in done.stderr


def test_wrong_settings_stop_a_stage_with_their_line(new_project: Project) -> None:
    new_project.replace("params.yaml", "task: binary", "task: ranking")
    done = new_project.run("mlops", "validate", fails=True)
    assert done.stderr.startswith("mlops: params.yaml: task: got 'ranking'; Input should be")
    assert len(done.stderr.splitlines()) == 1


def test_a_server_in_the_settings_is_used(new_project: Project) -> None:
    new_project.replace("params.yaml", 'tracking_uri: ""', 'tracking_uri: "http://127.0.0.1:9"')
    done = new_project.run("mlops", "promote", fails=True)
    assert "MLFLOW_TRACKING_URI=http://127.0.0.1:9 does not answer" in done.stderr
    assert not (new_project / ".store").exists()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_git_ignores_what_commands_write(tmp_path: Path) -> None:
    """Else a run would say of its own reports that they are uncommitted changes."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    shutil.copyfile(ROOT / ".gitignore", tmp_path / ".gitignore")
    written = [path for path in vars(files).values() if isinstance(path, Path)]
    reports = [str(it) for it in written if it.parent == files.REPORTS and it.suffix]
    assert len(reports) > 5
    asked = ["git", "-C", str(tmp_path), "check-ignore", *reports]
    ignored = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    assert sorted(set(reports) - set(ignored.splitlines())) == []


def test_make_leaves_alone_what_a_linked_environment_leads_to(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "bin").mkdir(parents=True)
    (shared / "bin" / "uv").touch()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".venv").symlink_to(shared)
    command = ["make", "--file", str(MAKEFILE), "setup"]
    done = subprocess.run(
        command, cwd=tmp_path / "project", capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert ".venv is a link" in done.stderr
    assert (shared / "bin" / "uv").exists()
