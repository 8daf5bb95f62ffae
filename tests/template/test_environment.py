"""A generated project makes its own environment, checks itself and trains, under any name."""

import json
import stat
import sys
from pathlib import Path

import pytest
import yaml
from generation import HOME, IDENTITY, Generate, commit, run, succeed, with_environment


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a name and in a folder that hurt, committed, with its environment."""
    return with_environment(tmp_path_factory.mktemp("generated"))


def test_a_second_setup_does_nothing(project: Path) -> None:
    assert "Nothing to be done for 'setup'" in succeed("make", "setup", cwd=project, HOME=HOME)


def test_the_environment_is_the_lock(project: Path) -> None:
    frozen = succeed(
        ".venv/bin/uv", "pip", "freeze", "--python", ".venv/bin/python", cwd=project, HOME=HOME
    )
    installed = [line for line in frozen.splitlines() if not line.startswith(("-e ", "pip=="))]
    lock = (project / "requirements.txt").read_text()
    assert len(installed) > 100
    assert [line for line in installed if f"\n{line} " not in lock] == []


def test_the_project_trains_and_judges_its_own_model(project: Path) -> None:
    said = succeed("make", "report", cwd=project, HOME=HOME)
    assert "finding: first" in said
    name = yaml.safe_load((project / "params.yaml").read_text())["name"]
    assert name == "d-arcy-co-vogel-2-b-touch-x-touch-x"
    metrics = json.loads((project / "reports" / "metrics.json").read_text())
    assert "roc_auc" in json.dumps(metrics)
    assert (project / "reports" / "report.md").read_text().strip()
    made = [path for path in project.parent.rglob("x") if ".venv" not in path.parts]
    assert not made, "a command in the name was run"
    changed = succeed("git", "status", "--porcelain", cwd=project).split()
    assert changed == ["??", "dvc.lock"]


def test_a_second_repro_has_nothing_to_do(project: Path) -> None:
    succeed("make", "repro", cwd=project, HOME=HOME)
    said = succeed("make", "repro", cwd=project, HOME=HOME)
    assert "Data and pipelines are up to date." in said


def test_a_conflict_in_dvc_lock_is_resolved_in_one_command(project: Path) -> None:
    succeed("make", "repro", cwd=project, HOME=HOME)
    commit(project, "Trained")
    params, lock = (project / "params.yaml").read_text(), (project / "dvc.lock").read_text()
    for branch, iterations in (("ours", "5"), ("theirs", "6")):
        succeed("git", "checkout", "--quiet", "-b", branch, "main", cwd=project)
        for name, content in (("params.yaml", params), ("dvc.lock", lock)):
            changed = content.replace("max_iter: 100", f"max_iter: {iterations}")
            assert changed != content
            (project / name).write_text(changed)
        commit(project, branch)
    assert "CONFLICT" in run("git", *IDENTITY, "merge", "ours", cwd=project).stdout
    assert "<<<<<<<" in (project / "dvc.lock").read_text()

    (project / "params.yaml").write_text(params)
    succeed("make", "merge-lock", cwd=project, HOME=HOME)
    assert (project / "dvc.lock").read_text() == lock
    unmerged = succeed("git", "ls-files", "--unmerged", cwd=project)
    assert {line.split("\t")[1] for line in unmerged.splitlines()} == {"params.yaml"}


def fake_python(folder: Path, without: str) -> Path:
    """Write a Python that cannot do what holds ``without``."""
    python = folder / "fake python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *{without}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n'
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return python


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ("version_info", "No Python 3.11, 3.12 or 3.13 among: "),
        ("ensurepip", "cannot make environments. Install the rest of it: apt install python3-venv"),
    ],
)
def test_setup_without_what_it_needs(
    generate: Generate, tmp_path: Path, without: str, sentence: str
) -> None:
    project = generate()
    python = fake_python(tmp_path, without)
    done = run("make", "setup", f"PYTHON={python}", cwd=project)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert str(python) in done.stderr
    assert not (project / ".venv").exists()


def test_a_moved_environment_is_made_anew(generate: Generate) -> None:
    project = generate()
    (project / ".venv" / "bin").mkdir(parents=True)
    for name, content in (("bin/uv", ""), ("folder", f"{project}\n"), ("setup", "")):
        (project / ".venv" / name).write_text(content)
    assert "Nothing to be done" in succeed("make", "--dry-run", "setup", cwd=project)
    moved = project.rename(project.with_name("moved"))
    assert "-m venv --clear .venv" in succeed("make", "--dry-run", "setup", cwd=moved)


def test_make_alone_lists_every_target_with_a_sentence(generate: Generate) -> None:
    project = generate()
    said = succeed("make", cwd=project)
    listed = {line.split()[1] for line in said.splitlines()}
    makefile = (project / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY: "))
    assert listed == set(phony.removeprefix(".PHONY: ").split())
    assert all(len(line.split()) > 4 for line in said.splitlines())


def test_clean_keeps_data_models_and_registry(generate: Generate) -> None:
    project = generate()
    kept = ["data/raw.parquet", "models/model.onnx", ".store/mlflow.db", "src/model/data.py"]
    gone = [".venv/x", "build/x", ".ruff_cache/x", "src/model/__pycache__/x.pyc", ".coverage"]
    for name in kept[:-1] + gone:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    succeed("make", "clean", cwd=project)
    assert all((project / name).exists() for name in kept)
    assert not any((project / name).exists() for name in gone)
