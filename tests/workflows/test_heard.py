"""Which events start what a pull request has to pass, and what a push to the default branch does.

The steps run here as the runner runs them, with what GitHub would write into their variables.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import MAKEFILE

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text(encoding="utf-8")))


def run_step(name: str, job: str, step: str, cwd: Path, **variables: str) -> tuple[int, str]:
    (script,) = [it["run"] for it in workflow(name)["jobs"][job]["steps"] if it["name"] == step]
    shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    environment = {name: it for name, it in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        shell, cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_each_required_check_is_given_for_a_pull_request_and_in_a_merge_queue() -> None:
    rules = json.loads((ROOT / ".github/rulesets/main.json").read_text(encoding="utf-8"))["rules"]
    (checks,) = [it["parameters"] for it in rules if it["type"] == "required_status_checks"]
    required = {it["context"] for it in checks["required_status_checks"]}
    for event in ("pull_request", "merge_group"):
        given: list[str] = []
        for file in WORKFLOWS.glob("*.yml"):
            it = workflow(file.stem)
            given += [job["name"] for job in it["jobs"].values()] if event in it[True] else []
        assert required <= set(given), event
        assert len(required) == len([name for name in given if name in required])


@pytest.mark.parametrize("branch", ["main", "master"])
def test_a_push_to_the_usual_default_branches_is_heard(branch: str) -> None:
    step = "Check that a push to the default branch is heard"
    assert run_step("ci", "lint", step, ROOT, BRANCH=branch) == (0, "")
    for name in ("ci", "deploy"):
        assert branch in workflow(name)[True]["push"]["branches"]
    assert workflow("deploy")["jobs"]["train"]["if"] == (
        "github.ref_name == github.event.repository.default_branch"
    )


@pytest.mark.parametrize("branch", ["trunk", "mai", "release/1", "]*"])
def test_another_default_branch_is_refused_until_it_is_written_there(
    tmp_path: Path, branch: str
) -> None:
    step = "Check that a push to the default branch is heard"
    code, said = run_step("ci", "lint", step, ROOT, BRANCH=branch)
    assert code == 1
    assert f"::error title=lint::The default branch is {branch}, and ci.yml hears pushes to" in said
    shutil.copytree(WORKFLOWS, tmp_path / ".github/workflows")
    for file in (tmp_path / ".github/workflows").glob("*.yml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("[main, master]", f"[{branch}]"), encoding="utf-8")
    assert run_step("ci", "lint", step, tmp_path, BRANCH=branch) == (0, "")


@pytest.mark.parametrize("event", ["pull_request", "merge_group"])
@pytest.mark.parametrize("related", [True, False])
def test_a_change_without_a_common_commit_counts_as_a_whole(
    tmp_path: Path, event: str, related: bool
) -> None:
    shutil.copyfile(MAKEFILE, tmp_path / "Makefile")
    base = ""
    for name in ("base", "head"):
        (tmp_path / f"{name}.md").write_text("prose\n")
        if base and not related:
            git(tmp_path, "checkout", "--quiet", "--orphan", "alone")
        base = base or commit(tmp_path, name)
    commit(tmp_path, "head")
    said = ("train", "train", "See whether anything that decides the model has changed")
    output = {"GITHUB_OUTPUT": str(tmp_path / "output"), "EVENT": event, "BASE": base}
    code, log = run_step(*said, tmp_path, **output)
    assert code == 0, log
    changed = "false" if related else "true"
    assert (tmp_path / "output").read_text() == f"changed={changed}\n"
    assert ("no commit in common with its base" in log) is not related
    assert "fatal" not in log


def test_the_first_push_of_all_has_no_error_in_its_log(tmp_path: Path) -> None:
    shutil.copyfile(MAKEFILE, tmp_path / "Makefile")
    commit(tmp_path, "first")
    said = ("train", "train", "See whether anything that decides the model has changed")
    output = {"GITHUB_OUTPUT": str(tmp_path / "output"), "EVENT": "push", "BASE": ""}
    code, log = run_step(*said, tmp_path, **output)
    assert (code, log.strip()) == (0, "changed=true")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")
