"""What the jobs that hold keys run needs no more than requirements-deliver.txt locks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
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


def run(python: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [python, "-c", code, *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "GITHUB_ACTOR": "ada"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


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
