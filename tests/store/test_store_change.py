"""A change of the store: made where nothing may be written, saved where nothing is run."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clones import branch, check_drift, checks, clone, git, refused, versions
from projects import ROOT
from toy_project import NAME, ToyProject

from mlops.project import files
from mlops.registry import audit, tracking
from mlops.registry import versions as registry_versions
from mlops.store import branch as store_branch
from mlops.store import change as store_change

SAVE = ROOT / ".github/actions/save/save.py"
IMAGE = f"ghcr.io/octo/flights@sha256:{'0' * 64}"
OBJECT = hashlib.md5(b"rows").hexdigest()
TAKEN = "somebody else has saved mlflow.db in mlops-store since this store was made from it"


def save(folder: Path = Path("build/store"), sha256: str = "") -> tuple[int, str]:
    """Run the step of the job that saves; returns its exit code and what it said."""
    # With no package, and away from the project: git finds it by GIT_DIR.
    done = subprocess.run(
        [sys.executable, "-S", "-B", str(SAVE)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / ".github/lib"),
            "FOLDER": str(folder.absolute()),
            "SHA256": sha256 or files.sha256(folder / "change.json"),
            "JOB": "promote",
            "GITHUB_REF_NAME": "main",
            "GITHUB_SHA": git("rev-parse", "HEAD"),
            "GITHUB_OUTPUT": os.devnull,
            "GITHUB_STEP_SUMMARY": os.devnull,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def elsewhere(here: Path, folder: Path, change: Callable[[], Any]) -> None:
    """Let somebody else change the store, and push it."""
    there = clone(here, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(there)
        store_branch.pull()
        change()
        store_branch.push()


def alter(change: Callable[[dict[str, Any]], object]) -> None:
    """Change what ``change.json`` says."""
    path = Path("build/store/change.json")
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def add(path: str, content: bytes, was: str | None = None) -> None:
    """Slip a file into what is handed over, and tell of it."""
    file = Path("build/store", path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    about = {"sha256": hashlib.sha256(content).hexdigest(), "was": was}
    alter(lambda told: told["files"].update({path: about}))


@pytest.fixture
def handed(here: Path) -> Path:
    """A promotion that is handed over, on a store that the branch has."""
    store_branch.push()
    said = store_change.promote(ToyProject.params, 2, IMAGE, Path("build/store"))
    assert said == f"{NAME} version 2 is now champion (was version 1)"
    return here


def test_what_is_handed_over_is_saved_and_all_is_deployed(handed: Path) -> None:
    before = branch()
    names = {str(it.relative_to("build/store")) for it in Path("build/store").rglob("*.*")}
    assert names == {"mlflow.db", "audit.jsonl", "change.json"}, "what the branch has stays there"
    code, said = save()
    assert (code, before != branch()) == (0, True), said
    assert said.endswith(f"are saved in mlops-store: Store of main at {git('rev-parse', 'HEAD')}\n")
    git("update-ref", "-d", "refs/mlops/store")
    store_branch.pull(force=True)
    told = registry_versions.lineage(tracking.connect(), ToyProject.params, "champion")
    assert (told["version"], told["image"]) == (2, IMAGE)
    assert save()[1].startswith("mlops-store is up to date: ")


def test_the_first_store_makes_the_branch(project: ToyProject, here: Path) -> None:
    store_branch.hand_over(Path("build/store"))
    code, said = save()
    assert code == 0, said
    assert said.endswith("mlops-store: Store, nothing deployed yet\n")
    store_branch.pull(force=True)
    assert versions() == {1, 2}


def test_a_registry_that_others_have_changed_meanwhile_stays(
    project: ToyProject, handed: Path, tmp_path: Path
) -> None:
    elsewhere(handed, tmp_path / "there", lambda: project.register(3))
    theirs = branch()
    code, said = save()
    assert (code, branch()) == (1, theirs)
    assert said == f"::error title=Save::{TAKEN}; nothing is changed; re-run the job promote\n"


def test_a_drift_check_is_recorded_whoever_changed_the_registry(
    project: ToyProject, here: Path, tmp_path: Path
) -> None:
    """So a check that has to wait is neither lost nor cancelled by a deployment."""
    store_branch.push()
    check_drift("ours")
    store_branch.hand_over(Path("build/store"))
    elsewhere(here, tmp_path / "there", lambda: (project.register(3), check_drift("theirs")))
    code, said = save()
    assert code == 0, said
    store_branch.pull(force=True)
    assert checks() == ["ours", "theirs"]
    assert versions() == {1, 2, 3}


def test_a_rollback_is_handed_over(handed: Path) -> None:
    assert save()[0] == 0
    store_branch.pull(force=True)
    said = store_change.rollback(ToyProject.params, 1, Path("build/store"))
    assert "version 1 is now champion (was version 2)" in said
    assert save()[0] == 0
    assert [(it["action"], it["to"]) for it in audit.read()][-2:] == [
        ("promote", 2),
        ("rollback", 1),
    ]


def test_a_check_is_recorded_as_the_last_one_says(here: Path) -> None:
    store_branch.push()
    check_drift("before")
    store_branch.push()
    files.write_json(files.DRIFT, json.loads('{"nonsense": 1}'))
    with pytest.raises(KeyError):
        store_change.record(Path("build/store"))
    assert not Path("build/store").exists()


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (lambda: add("../x", b""), "'../x' is not what change.json says"),
        (lambda: add("artifacts/.git/hooks", b""), "a name that is not accepted"),
        (lambda: add("artifacts/a\n::error::b", b""), "a name that is not accepted"),
        (lambda: add(".github/workflows/x.yml", b""), "is no part of a store"),
        (lambda: add("x", b""), "'x' is no part of a store"),
        (lambda: add("mlflow.db", b"no database"), "mlflow.db is no database"),
        (lambda: add(f"dvc/files/md5/{OBJECT[:2]}/{OBJECT[2:]}", b"other"), "is not what its name"),
        (lambda: add("dvc/files/md5/x", b"rows"), "is not what its name says"),
        (
            lambda: add("audit.jsonl", b"{}\n", known("audit.jsonl")),
            "audit.jsonl lacks lines that are on the branch",
        ),
        (lambda: add(known_artifact(), b"forged"), "is on the branch with another content"),
        (lambda: Path("build/store/y").write_text(""), "'y' is not what change.json says"),
        (lambda: Path("build/store/mlflow.db").unlink(), "'mlflow.db' is not what change.json"),
        (lambda: Path("build/store/y").symlink_to("/etc/passwd"), "is no file, but a link"),
        (lambda: Path("build/store/mlflow.db").write_bytes(b"x"), "its sha256 is another"),
        (lambda: large(Path("build/store/artifacts")), "is larger than 95,000,000 bytes"),
        (
            lambda: alter(lambda it: it["files"]["mlflow.db"].update(was="$(x)")),
            "does not say what",
        ),
    ],
)
def test_what_is_no_store_is_not_saved(handed: Path, attack: Callable[[], Any], said: str) -> None:
    before = branch()
    attack()
    code, told = save()
    assert (code, branch()) == (1, before)
    assert said in told
    assert told.count("\n") == 1


def known(path: str) -> str:
    return git("rev-parse", f"refs/mlops/store:{path}")


def known_artifact() -> str:
    listed = git("ls-tree", "-r", "--name-only", git("rev-parse", "refs/mlops/store"))
    return next(it for it in listed.splitlines() if it.endswith("features.py"))


def large(folder: Path) -> None:
    folder.mkdir(parents=True)
    with (folder / "x").open("wb") as file:
        file.truncate(95_000_001)


def test_another_artifact_than_the_one_that_was_handed_over_is_not_saved(handed: Path) -> None:
    before, sha256 = branch(), files.sha256(Path("build/store/change.json"))
    add("artifacts/more", b"")
    code, said = save(sha256=sha256)
    assert (code, branch()) == (1, before)
    assert "change.json is not what was handed over: its sha256 is another" in said


def test_who_is_overtaken_while_pushing_begins_again(handed: Path, tmp_path: Path) -> None:
    """Somebody pushes between our look at the branch and our push, once."""
    bare = git("remote", "get-url", "origin")
    hook = Path(bare, "hooks/pre-receive")
    hook.write_text(
        "#!/bin/sh\nset -e\n[ -e overtaken ] && exit 0\n: > overtaken\nunset GIT_QUARANTINE_PATH\n"
        "new=$(git -c user.name=x -c user.email=x commit-tree -m Other mlops-store^{tree})\n"
        "git update-ref refs/heads/mlops-store $new\n"
    )
    hook.chmod(0o755)
    code, said = save()
    assert (code, Path(bare, "overtaken").exists()) == (0, True), said
    assert git("-C", bare, "log", "-1", "--format=%s", "mlops-store").startswith("Store of main at")


def test_a_damaged_store_is_not_handed_over(handed: Path) -> None:
    (files.STORE / "mlflow.db").write_bytes(b"x")
    assert "is damaged" in refused(lambda: store_branch.hand_over(Path("build/store")))
