"""What only some projects need is locked where it is chosen: by an answer, or by `make add`."""

import re
import shutil
import sys
import tomllib
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from generation import HOME, Generate, run, succeed

REMOTES = {
    "s3://bucket/path": ("s3", "dvc-s3"),
    "gs://bucket/path": ("gs", "dvc-gs"),
    "azure://container/path": ("azure", "dvc-azure"),
    "ssh://host/path": ("ssh", "dvc-ssh"),
}
IMAGES = ("requirements-serve.txt", "requirements-serve-skops.txt")
LOCKS = ("requirements.txt", *IMAGES, "requirements-deliver.txt")
UV = Path(sys.executable).with_name("uv")


def groups(project: Path) -> dict[str, list[str | dict[str, str]]]:
    return tomllib.loads((project / "pyproject.toml").read_text())["dependency-groups"]


def locked(project: Path, package: str, lock: str = "requirements.txt") -> str | None:
    """Return the version of a package that a lock has, with hashes."""
    text = (project / lock).read_text()
    found = re.search(rf"^{package}==(\S+).* \\\n    --hash=sha256:", text, re.MULTILINE)
    return found and found[1]


def make_add(project: Path, group: str) -> CompletedProcess[str]:
    """Run `make add` with the uv of these tests."""
    uv = project / ".venv/bin/uv"
    if not uv.exists():
        uv.parent.mkdir(parents=True)
        uv.symlink_to(UV)
        (project / ".venv/folder").write_text(f"{project}\n")
    return run("make", "add", f"GROUP={group}", cwd=project, HOME=HOME)


def test_a_default_project_has_none_of_them(generate: Generate, template: Path) -> None:
    project = generate()
    assert groups(project)["dev"][0] == {"include-group": "serve-skops"}
    for lock in LOCKS:
        assert (project / lock).read_bytes() == (template / lock).read_bytes()
        for package in ("lightgbm", "xgboost", "xgboost-cpu", "onnxmltools", "s3fs", "jupyterlab"):
            assert locked(project, package, lock) is None
    assert not (project / "template").exists()


@pytest.mark.parametrize("url", REMOTES)
def test_the_plugin_of_a_remote_is_locked_as_make_add_locks_it(
    generate: Generate, tmp_path: Path, url: str
) -> None:
    # In a repository that ignores it, git knows where the project is, even so.
    succeed("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("*\n")
    project = generate(dvc_remote_url=url)
    group, plugin = REMOTES[url]
    assert groups(project)["dev"][:2] == [
        {"include-group": group},
        {"include-group": "serve-skops"},
    ]
    assert locked(project, plugin)
    assert not (project / "template").exists()
    asked = ("pip", "sync", "--dry-run", "--require-hashes", "--python", sys.executable)
    plan = run(UV, *asked, "requirements.txt", cwd=project, HOME=HOME)
    assert plan.returncode == 0, plan.stderr
    assert f" - {plugin}==" not in plan.stderr  # these tests may have it

    chosen = generate(folder=tmp_path / "chosen")
    for name in LOCKS:  # of which it keeps the versions, whatever has come out since
        shutil.copyfile(project / name, chosen / name)
    assert make_add(chosen, group).returncode == 0
    for name in ("pyproject.toml", *LOCKS):
        assert (project / name).read_bytes() == (chosen / name).read_bytes(), name


def test_a_booster_is_locked_for_training_and_for_an_image_with_skops(generate: Generate) -> None:
    project = generate()
    before = (project / "requirements-serve.txt").read_bytes()
    assert make_add(project, "lightgbm").returncode == 0
    assert groups(project)["serve-skops"][0] == {"include-group": "lightgbm"}
    assert locked(project, "lightgbm") == "4.7.0"
    assert locked(project, "lightgbm", "requirements-serve-skops.txt") == "4.7.0"
    assert (project / "requirements-serve.txt").read_bytes() == before
    added = {name: (project / name).read_bytes() for name in ("pyproject.toml", *LOCKS)}
    assert make_add(project, "lightgbm").returncode == 0
    assert {name: (project / name).read_bytes() for name in added} == added
    assert make_add(project, "xgboost").returncode == 0
    assert locked(project, "xgboost-cpu") == locked(project, "xgboost") == "3.2.0"
    assert locked(project, "lightgbm") == "4.7.0"


def test_fastapi_is_locked_for_every_image_and_moves_no_other_library(generate: Generate) -> None:
    project = generate()
    before = (project / "requirements.txt").read_bytes()
    assert all(locked(project, "fastapi", lock) is None for lock in IMAGES)
    assert make_add(project, "routes").returncode == 0
    assert groups(project)["serve"][0] == {"include-group": "routes"}
    version = locked(project, "fastapi")
    assert version
    assert all(locked(project, "fastapi", lock) == version for lock in IMAGES)
    now = (project / "requirements.txt").read_text()
    assert "".join(re.findall(r"^[a-z].*\n", now, re.MULTILINE)) == "".join(
        re.findall(r"^[a-z].*\n", before.decode(), re.MULTILINE)
    )


def test_jupyter_is_locked_for_the_laptop_and_for_no_image(generate: Generate) -> None:
    project = generate()
    other = {name: (project / name).read_bytes() for name in LOCKS[1:]}
    told = run("make", "--old-file=.venv/setup", "notebook", cwd=project, HOME=HOME)
    assert told.stderr.splitlines()[0] == (
        "make notebook: Jupyter is not in the lock; make add GROUP=notebook first"
    )
    assert make_add(project, "notebook").returncode == 0
    assert groups(project)["dev"][0] == {"include-group": "notebook"}
    for package in ("jupyterlab", "ipykernel"):
        assert locked(project, package)
    assert {name: (project / name).read_bytes() for name in other} == other


def test_wandb_is_locked_and_moves_no_other_library(generate: Generate) -> None:
    project = generate()
    before = {name: (project / name).read_text() for name in LOCKS}
    pins = r"^([a-z0-9._-]+==\S+)"
    assert make_add(project, "wandb").returncode == 0
    assert groups(project)["dev"][0] == {"include-group": "wandb"}
    assert locked(project, "wandb")
    now = re.findall(pins, (project / "requirements.txt").read_text(), re.MULTILINE)
    assert set(re.findall(pins, before["requirements.txt"], re.MULTILINE)) < set(now)
    assert {name: (project / name).read_text() for name in LOCKS[1:]} == {
        name: before[name] for name in LOCKS[1:]
    }


@pytest.mark.parametrize("group", ["catboost", "", "s3 gs", "dev"])
def test_a_group_that_there_is_not_is_refused(generate: Generate, group: str) -> None:
    project = generate()
    before = (project / "pyproject.toml").read_bytes()
    done = make_add(project, group)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        f"make add: GROUP is '{group}'; "
        "expected routes, lightgbm, xgboost, s3, gs, azure, ssh, notebook, wandb or kubeflow"
    )
    assert (project / "pyproject.toml").read_bytes() == before


def test_a_list_that_is_written_otherwise_is_asked_for(generate: Generate) -> None:
    project = generate()
    text = (project / "pyproject.toml").read_text().replace("\ndev = [\n", "\ndev = [ # mine\n")
    (project / "pyproject.toml").write_text(text)
    done = make_add(project, "s3")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "make add: pyproject.toml has no line 'dev = ['; write { include-group = \"s3\" }, there"
    )
    assert (project / "pyproject.toml").read_text() == text
