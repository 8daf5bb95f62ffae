"""``mlops doctor`` says which safeguards are on, and guesses nothing that it could not see."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded
from github_git import git
from github_server import FakeGitHub
from projects import ROOT

from mlops import doctor

NAME = "octo/flights"
TOKEN = "ghp_ofAda"  # not a secret: only the local GitHub knows it
NAMES = [
    *("settings", "remote", "data", "credentials", "rulesets", "owners", "environments"),
    *("reviewers", "proposals", "their checks", "CML", "signatures", "drift", "predictions"),
    *("alerts", "updates"),
]
SEEN_IN_FILES = {"settings", "data", "credentials", "updates"}


class Patient:
    """A clone whose owner is signed in to the local GitHub."""

    def __init__(self, github: FakeGitHub, folder: Path) -> None:
        self.github, self.folder = github, folder
        self.bare = github.add_repository(NAME)
        github.add_token(TOKEN, "ada", write=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / ".github", folder / ".github", ignore=ignored)
        (folder / ".dvc").mkdir()
        for name in ("params.yaml", "requirements.txt", ".dvc/config"):
            shutil.copy(ROOT / name, folder / name)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "First")
        self.git("push", "--quiet", str(self.bare), "main")
        self.git("remote", "add", "origin", f"https://github.com/{NAME}.git")

    def git(self, *arguments: str) -> None:
        git(self.folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *arguments)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {
            it: value for it, value in os.environ.items() if not it.startswith(("GH_", "GITHUB_"))
        }
        return subprocess.run(
            command,
            cwd=self.folder,
            env={
                **kept,
                **self.github.environment,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "GH_TOKEN": TOKEN,
                "GH_PROMPT_DISABLED": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def examine(self, *options: str, **environment: str) -> dict[str, str]:
        """Return the lines by their names; the sentence above them is ``""``."""
        done = self.run("mlops", "doctor", *options, **environment)
        assert done.returncode == 0, done.stderr
        head, nothing, *lines = done.stdout.splitlines()
        assert nothing == ""
        found = {line[2:15].strip(): line[:2] + line[16:] for line in lines}
        assert list(found) == NAMES
        counts = {mark: sum(it.startswith(mark) for it in found.values()) for mark in "✓✗?"}
        assert head.startswith(f"{counts['✓']} of {len(NAMES)} safeguards are on, {counts['✗']} ")
        assert ("could not be seen" in head) == bool(counts["?"])
        return {"": head} | found

    @property
    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = self.github.state["repositories"][NAME]
        return known


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    (tmp_path / "work").mkdir()
    with FakeGitHub(tmp_path / "github") as github:
        yield Patient(github, tmp_path / "work")
        recorded.check(github.requests)


def off(found: dict[str, str]) -> set[str]:
    return {name for name, line in found.items() if line.startswith("✗")}


def unseen(found: dict[str, str]) -> set[str]:
    return {name for name, line in found.items() if line.startswith("?")}


def set_all(patient: Patient) -> None:
    """Make every setting that there is."""
    assert patient.run(sys.executable, ".github/lib/protect.py", "team").returncode == 0
    known = patient.known
    known["environments"]["production"]["protection_rules"].append(
        {
            **{"id": 9, "node_id": "R", "type": "required_reviewers", "prevent_self_review": True},
            "reviewers": [{"type": "Team", "reviewer": {"slug": "reviewers", "name": "Reviewers"}}],
        }
    )
    known |= {
        "codeowners_errors": [],
        "actions_may_open_pull_requests": True,
        "secrets": {"PROPOSE_KEY": "", "NOTIFY_URL": ""},
        "variables": {
            **{f"OTHER_{number}": "x" for number in range(40)},  # more than a page
            "PROPOSE_CLIENT_ID": "Iv1",
            "PREDICTION_LOG_URI": "s3://log",
            "ATTEST": "true",
        },
    }
    version = (ROOT / ".github/lib/cml.py").read_text().split('VERSION, FILE = "')[1].split('"')[2]
    branch = patient.folder.parent / "store"
    git(patient.bare, "init", "--quiet", "--initial-branch", "mlops-store", str(branch))
    (branch / "cml.sha256").write_text(f"{'0' * 64}  {version}/cml-linux-x64\n")
    git(branch, "add", "--all")
    identity = ("-c", "user.name=Bot", "-c", "user.email=bot@example.com")
    git(branch, *identity, "commit", "--quiet", "--message", "Register")
    git(branch, "push", "--quiet", str(patient.bare), "mlops-store")
    (patient.folder / ".cruft.json").write_text("{}")


def test_all_is_on(patient: Patient) -> None:
    set_all(patient)
    found = patient.examine("--strict")
    assert found[""] == "16 of 16 safeguards are on, 0 are off."
    assert found["reviewers"] == "✓ production waits for reviewers"
    assert "PROPOSE" not in found["their checks"]
    assert TOKEN not in "".join(found.values())


def test_a_repository_that_was_just_pushed(patient: Patient) -> None:
    found = patient.examine()
    assert not unseen(found)
    assert off(found) == set(NAMES) - SEEN_IN_FILES - {"remote", "drift"} | {"updates"}
    assert "main is not installed; store is not installed" in found["rulesets"]
    assert found["rulesets"].endswith("→ make protect RULES=team (or alone)")
    assert "staging is not there; production is not there" in found["environments"]
    path = f"repos/{NAME}/actions/permissions/workflow"
    assert f"→ gh api --method PUT {path} -f default" in found["proposals"]
    assert "the repository is private" in found["signatures"]
    assert "on the example's months (drift.replay)" in found["drift"]
    judged = patient.run("mlops", "doctor", "--strict")
    assert (judged.returncode, judged.stdout.splitlines()[0]) == (1, found[""])


HALF_MADE = [
    ({"secrets": {}}, "their checks", "PROPOSE_CLIENT_ID without the secret PROPOSE_KEY"),
    ({"variables": {}}, "their checks", "PROPOSE_KEY without the variable PROPOSE_CLIENT_ID"),
    ({"variables": {"ATTEST": "false"}}, "signatures", "ATTEST is false: nothing proves"),
    ({"workflow_states": {"drift.yml": "disabled_inactivity"}}, "drift", "(disabled_inactivity)"),
    (
        {"codeowners_errors": [{"path": ".github/CODEOWNERS", "line": 3, "column": 3,
         "kind": "Unknown owner", "message": "m"}]},
        "owners",
        ".github/CODEOWNERS line 3: Unknown owner; nobody can give the review",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "name", "said"), HALF_MADE)
def test_a_setting_that_is_half_made_is_off(
    patient: Patient, change: dict[str, Any], name: str, said: str
) -> None:
    set_all(patient)
    patient.known.update(change)
    found = patient.examine()
    assert name in off(found)
    assert said in found[name]
    assert "→ " in found[name]


def test_rules_that_were_loosened_are_off(patient: Patient) -> None:
    set_all(patient)
    main, store = patient.known["rulesets"].values()
    for rule in main["rules"]:
        if rule["type"] == "required_status_checks":
            del rule["parameters"]["required_status_checks"][1]
    store["enforcement"] = "evaluate"
    patient.known["environments"]["staging"]["deployment_branch_policy"] = None
    found = patient.examine()
    assert off(found) == {"rulesets", "environments"}
    said = "main lacks model gate; store is installed and not in force (evaluate): what the checks"
    assert said in found["rulesets"]
    assert "staging may be used from any branch: a branch could use" in found["environments"]


def test_data_elsewhere_wants_plugin_and_credentials(patient: Patient) -> None:
    set_all(patient)
    config = patient.folder / ".dvc/config"
    config.write_text(config.read_text().replace("../.store/dvc", "s3://me:secret@bucket/path"))
    found = patient.examine()
    assert found["data"] == "✗ nothing here reads s3://bucket/path → make add GROUP=s3"
    assert "DATA_READ and DATA_WRITE not set: no workflow reaches" in found["credentials"]
    with (patient.folder / "requirements.txt").open("a") as lock:
        lock.write("dvc-s3==3.2.0\n")
    patient.known["secrets"]["DATA_READ"] = ""
    found = patient.examine()
    assert found["data"] == "✓ kept in s3://bucket/path"
    assert "DATA_WRITE is not set: no workflow can write to s3://bucket" in found["credentials"]
    assert found["credentials"].endswith("→ gh secret set DATA_WRITE")
    patient.github.state["users"]["octo"]["type"] = "Organization"
    patient.known["organisation_secrets"] = {"DATA_WRITE": ""}
    assert patient.examine()["credentials"] == "✓ DATA_READ and DATA_WRITE are set"


NOBODY = {"GH_TOKEN": "", "GH_CONFIG_DIR": "/nonexistent"}
BLIND = [
    (NOBODY, "nobody is signed in: gh auth login, or GH_TOKEN"),
    ({"GH_TOKEN": "ghp_wrong"}, "nobody is signed in: gh auth login, or GH_TOKEN"),
    ({"HTTPS_PROXY": "http://127.0.0.1:9"}, "GitHub was not reached"),
    ({"PATH": ""}, "gh is not installed"),
]


@pytest.mark.parametrize(("environment", "reason"), BLIND, ids=lambda it: str(it)[:20])
def test_what_nobody_could_see_is_neither_on_nor_off(
    patient: Patient, environment: dict[str, str], reason: str
) -> None:
    set_all(patient)
    if "PATH" in environment:
        programs = patient.folder.parent / "bin"
        programs.mkdir()
        for program in ("git", "mlops"):
            (programs / program).symlink_to(str(shutil.which(program)))
        environment = {"PATH": str(programs)}
    found = patient.examine(**environment)
    assert unseen(found) == set(NAMES) - SEEN_IN_FILES
    assert all(f"not seen, as {reason}" in found[name] for name in unseen(found))
    assert "(drift.yml says '23 5 * * 1')" in found["drift"]
    assert patient.run("mlops", "doctor", "--strict", **environment).returncode == 1


def gh_that(folder: Path, does: str) -> str:
    """Put a program named gh first on the PATH, which notes that it was asked."""
    program = folder / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho asked >> {folder}/asked\n{does}\n")
    program.chmod(0o755)
    return f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_who_has_not_answered_once_is_not_asked_again(patient: Patient, tmp_path: Path) -> None:
    found = patient.examine(PATH=gh_that(tmp_path, "echo no route to host >&2; exit 1"))
    assert "GitHub was not reached" in found["alerts"]
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_nobody_waits_for_a_github_that_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", gh_that(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(doctor, "SECONDS", 0.2)
    github = doctor.GitHub("github.com", NAME)
    for _ in range(2):
        with pytest.raises(doctor.UnseenError, match=r"GitHub has not answered for 0\.2 s"):
            github.get("rulesets")
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_what_a_weak_token_may_not_see_is_said(patient: Patient) -> None:
    set_all(patient)
    patient.github.add_token("ghp_weak", "grace", write=False)
    found = patient.examine(GH_TOKEN="ghp_weak")
    assert unseen(found) == {"their checks", "signatures", "predictions", "alerts"}
    assert "whoever is signed in may not see it (HTTP 403)" in found["alerts"]
    assert found["rulesets"].startswith("✓")


def test_a_folder_without_remote_and_an_older_project(patient: Patient) -> None:
    patient.git("remote", "remove", "origin")
    found = patient.examine()
    assert found["remote"].endswith("→ gh repo create --private --source . --push")
    assert "not seen, as there is no remote, yet" in found["rulesets"]
    patient.git("remote", "add", "origin", "git@gitlab.example.com:octo/flights.git")
    patient.git("remote", "set-url", "origin", "/srv/git/flights.git")
    assert "not seen, as origin is not on GitHub" in patient.examine()["remote"]
    patient.git("remote", "set-url", "origin", f"git@github.com:{NAME}.git")
    for gone in ("rulesets", "workflows", "lib"):
        shutil.rmtree(patient.folder / ".github" / gone)
    (patient.folder / ".dvc/config").write_text("[core\n")
    params = patient.folder / "params.yaml"
    params.write_text(params.read_text().replace("task: binary", "task: guess"))
    found = patient.examine()
    assert found["settings"].startswith("✗ params.yaml")
    assert unseen(found) == {"data", "credentials", "rulesets", "CML", "drift"}
    assert "this version of the project has no .github/rulesets; update it" in found["rulesets"]


def test_a_file_that_was_broken_stops_no_other_line(patient: Patient) -> None:
    set_all(patient)
    (patient.folder / ".github/rulesets/main.json").write_text("{")
    (patient.folder / "requirements.txt").unlink()
    config = patient.folder / ".dvc/config"
    config.write_text(config.read_text().replace("../.store/dvc", "s3://bucket/path"))
    found = patient.examine()
    assert unseen(found) == {"data", "rulesets"}
    assert "as something has another form (JSONDecodeError: " in found["rulesets"]


def test_a_record_of_another_cml_does_not_count(patient: Patient) -> None:
    set_all(patient)
    program = patient.folder / ".github/lib/cml.py"
    text = program.read_text()
    version = text.split('VERSION, FILE = "')[1].split('"')[2]
    program.write_text(text.replace(f'"{version}"', '"v9.9.9"'))
    found = patient.examine()
    assert found["CML"].startswith("✗ v9.9.9 is not on record: gh writes the comments")
