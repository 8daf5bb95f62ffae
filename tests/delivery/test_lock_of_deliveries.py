"""What the jobs that hold keys run needs no more than requirements-deliver.txt locks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from projects import ROOT
from running_service import RunningService
from tiny_export import write_export
from toy_fixtures import project, template
from toy_project import ToyProject

__all__ = ["project", "template"]

LOCK = ROOT / "requirements-deliver.txt"
MOST = 40
COMMAND = "import sys; from mlops.cli import main; sys.argv[0] = 'mlops'; main()"
# Other tests keep this machine busy meanwhile.
UNHURRIED = {"latency_ms": 5000.0, "canary": {"requests": 100, "latency_ratio": 1000.0}}
MODULES = """
import importlib, pkgutil
import mlops.delivery, mlops.trial
for package in (mlops.delivery, mlops.trial):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the lock, and nothing else."""
    folder = tmp_path_factory.mktemp("deliver") / "venv"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    made = folder / "bin/python"
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", made, LOCK]
    subprocess.run(sync, check=True)
    return made


@pytest.fixture
def settled(project: ToyProject) -> ToyProject:
    """A project with a registry, and with the settings that commands read; the working folder."""
    told = project.params.model_dump(mode="json", exclude_unset=True)
    Path("params.yaml").write_text(json.dumps(told | {"serving": UNHURRIED}))
    return project


def run(python: Path, code: str, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(
        [python, "-c", code, *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "GITHUB_ACTOR": "ada"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stderr if fails else done.stdout


def test_it_is_small() -> None:
    packages = set(re.findall(r"^([\w.-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(packages) <= MOST
    assert not packages & {"dvc", "mlflow", "mlflow-skinny", "scikit-learn", "evidently", "onnx"}


def test_what_deploys_is_imported(python: Path) -> None:
    run(python, MODULES)


def test_the_registry_is_looked_up(python: Path, settled: ToyProject) -> None:
    settled.hold_out()
    version = str(settled.register(3))
    for command in (
        ("promote", version, "--check"),
        ("lineage", "champion", "--field", "image"),
        ("export", "build/champion", "champion"),
    ):
        run(python, COMMAND, *command)


@pytest.mark.usefixtures("settled")
def test_a_service_is_tried(python: Path, tmp_path: Path) -> None:
    exports = [write_export(tmp_path / f"export-{n}", n) for n in (1, 2)]
    services = [RunningService(export / "model", tmp_path / export.stem) for export in exports]
    try:
        champion, candidate = (service.wait().url for service in services)
        run(python, COMMAND, "smoke", candidate, str(exports[1]))
        run(python, COMMAND, "canary", champion, candidate, str(exports[1]))
    finally:
        for service in services:
            service.kill()


@pytest.mark.parametrize(
    ("server", "lock"),
    [
        ('""', "LOCKS=requirements-deliver.txt"),
        ('"" # of an MLflow server', "LOCKS=requirements-deliver.txt"),
        ('"https://mlflow.example.org"', ""),
        ("https://mlflow.example.org # ours", ""),
    ],
)
def test_a_registry_on_a_server_needs_mlflow(tmp_path: Path, server: str, lock: str) -> None:
    (tmp_path / "params.yaml").write_text(f"name: x\ntracking_uri: {server}\n")
    (tmp_path / "make").write_text('#!/bin/sh\necho "$@" > asked\n')
    (tmp_path / "make").chmod(0o755)
    action = yaml.safe_load((ROOT / ".github/actions/setup/action.yml").read_text("utf-8"))
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", action["runs"]["steps"][-1]["run"]],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "LOCK": "deliveries", "GITHUB_PATH": "path"},
        check=True,
    )
    assert (tmp_path / "asked").read_text() == f"setup {lock}".rstrip() + "\n"


def test_a_server_that_only_a_variable_names_is_said_to_need_mlflow(
    python: Path, settled: ToyProject
) -> None:
    code = f"import os; os.environ['MLFLOW_TRACKING_URI'] = 'http://127.0.0.1:9'; {COMMAND}"
    said = run(python, code, "lineage", "champion", fails=True)
    assert "is asked through MLflow, which is not installed here; in workflows, name the" in said
