"""A project from before an update goes through it, with its store, and on around the loop.

What ``frozen`` holds, its README says.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from generation import ROOT, commit, succeed, tracked

FROZEN = Path(__file__).parent / "frozen"
# What has moved from the projects' tests to those of the template.
MOVED = [
    "delivery",
    "doubles",
    "drift",
    "example",
    "judgement",
    "pipeline",
    "serving",
    "unit",
    "workflows",
]


def thaw(folder: Path) -> Path:
    """Make the old project, as far as its owner had come with it."""
    template = folder / "template"
    shutil.unpack_archive(FROZEN / "template.tar.xz", template)
    commit(template, "The template as it was")
    succeed("cruft", "create", "--no-input", template.as_uri(), cwd=folder)
    project = folder / "flight-delays"
    shutil.unpack_archive(FROZEN / "project.tar.xz", project)
    return project


def publish(template: Path) -> None:
    """Make the template what it is today."""
    for path in template.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in tracked(ROOT):
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, template / name, follow_symlinks=False)
    for name in MOVED:
        (template / "{{cookiecutter.project_slug}}/tests" / name).unlink(missing_ok=True)
    commit(template, "The template as it is")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} holds {text.count(old)} times {old!r}"
    file.write_text(text.replace(old, new))


class Loop:
    """The commands of a project, run by the environment of these tests."""

    def __init__(self, project: Path) -> None:
        self.project = project

    def run(self, *command: str) -> str:
        return succeed(
            *command,
            cwd=self.project,
            PYTHONPATH=str(self.project / "src"),
            DVC_NO_ANALYTICS="1",
            DO_NOT_TRACK="1",
            MLFLOW_DISABLE_TELEMETRY="true",
            COLUMNS="200",
        )

    def json(self, name: str) -> Any:
        return json.loads((self.project / "reports" / f"{name}.json").read_text())


def test_an_older_project_goes_through_the_update_and_around_the_loop(tmp_path: Path) -> None:
    project = thaw(tmp_path)
    loop = Loop(project)
    mine = project / "tests/unit/test_mine.py"
    mine.write_text("def test_mine() -> None: ...\n")
    edit(project / "src/model/features.py", "import numpy as np\n", "import numpy as np  # mine\n")
    edit(project / "pyproject.toml", '    "urllib3",\n', '    "holidays",\n    "urllib3",\n')
    commit(project, "My own")
    features, settings = (project / "src/model/features.py", project / "params.yaml")
    yours = [file.read_text() for file in (features, settings)]

    publish(tmp_path / "template")
    loop.run("cruft", "update", "--skip-apply-ask")
    status = loop.run("git", "status", "--porcelain").splitlines()
    assert not [line for line in status if "U" in line[:2] or line.endswith(".rej")]
    left = [file for name in MOVED for file in (project / "tests" / name).rglob("*.*")]
    assert left == [mine]
    assert [file.read_text() for file in (features, settings)] == yours
    assert '    "holidays",\n' in (project / "pyproject.toml").read_text()
    # A question that it was never asked has its default.
    answers = json.loads((project / ".cruft.json").read_text())["context"]["cookiecutter"]
    assert answers["endpoint"] == "none"
    assert not (project / "deploy/endpoint").exists()
    # Yours from then on, but one from before it was there gets it.
    assert (project / ".github/actions/credentials/action.yml").exists()
    commit(project, "Update")

    # The champion of before, with the key that its model.json lacks not there.
    for facts in (project / ".store/artifacts").glob("*/artifacts/versions/*/model.json"):
        assert "format" not in json.loads(facts.read_text())
    edit(settings, "max_iter: 10", "max_iter: 60")
    loop.run("mlops", "check")  # as `make repro` does first
    loop.run("dvc", "repro")
    assert "format" in json.loads((project / "models/model.json").read_text())
    loop.run("mlops", "compare")
    comparison = loop.json("comparison")
    assert comparison["champion"]["version"] == 2
    assert round(comparison["champion"]["metrics"]["roc_auc"], 4) == 0.6091
    assert "version 3 is registered as challenger" in loop.run("mlops", "register")
    assert "version 3 is now champion (was version 2)" in loop.run(
        "mlops", "promote", "--override", "a try of the update"
    )
    assert "2" in loop.run("mlops", "rollback")
    assert "version 2" in loop.run("mlops", "card")
    loop.run("mlops", "drift")
    # June, as the record of before has May.
    assert loop.json("drift")["current"]["start"].startswith("2013-06")
    assert "decision" in loop.run("mlops", "drift", "--record")
    loop.run("mlops", "store", "save", "saved")
    shutil.rmtree(project / ".store")
    loop.run("mlops", "store", "restore", "saved")
    loop.run("dvc", "push")
