"""What the branch of origin is not given, and what is not taken from it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import branch, check_drift, checks, content, git, refused
from toy_project import NAME, ToyProject

from mlops.project import files
from mlops.registry import database, promotion, tracking
from mlops.store import branch as store_branch
from mlops.store import folder as local_store


def test_a_store_begun_anew_does_not_replace_the_branch(here: Path) -> None:
    store_branch.push()
    first = branch()
    shutil.rmtree(files.STORE)
    shutil.copytree(here / "models", files.STORE / "dvc")
    sentence = refused(store_branch.push)
    assert sentence.startswith("mlops-store of origin has files such as artifacts/")
    assert sentence.endswith(
        " and lines of audit.jsonl that .store lacks; nothing is changed; run `mlops store pull` "
        "to have them, or push with --force if they may go"
    )
    assert branch() == first
    store_branch.push(force=True)
    assert branch() != first


def test_an_older_store_does_not_undo_a_promotion(here: Path, tmp_path: Path) -> None:
    local_store.save(tmp_path / "older")
    promotion.promote(tracking.connect(), ToyProject.params)
    store_branch.push()
    local_store.restore(tmp_path / "older")
    assert "mlops-store of origin has lines of audit.jsonl that" in refused(store_branch.push)


def test_an_older_store_does_not_forget_a_drift_check(here: Path, tmp_path: Path) -> None:
    check_drift("1")
    local_store.save(tmp_path / "older")
    check_drift("2")
    store_branch.push()
    first = branch()
    local_store.restore(tmp_path / "older")
    assert refused(store_branch.push) == (
        "mlops-store of origin has lines of drift.jsonl that .store lacks; nothing is changed; run "
        "`mlops store pull` to have them, or push with --force if they may go"
    )
    assert branch() == first
    store_branch.pull()
    assert checks() == ["1", "2"]


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("dvc/files/md5/ab/cd", "keep data elsewhere (`dvc remote modify store url s3://bucket/"),
        ("artifacts/model.onnx", "keep models on a server (MLFLOW_TRACKING_URI), and delete this"),
    ],
)
def test_a_file_too_large_for_github_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, path: str, advice: str
) -> None:
    monkeypatch.setattr(store_branch, "LARGEST_MB", 2)
    (files.STORE / path).parent.mkdir(parents=True, exist_ok=True)
    (files.STORE / path).write_bytes(bytes(2_600_000))
    sentence = refused(store_branch.push)
    assert sentence.startswith(
        f".store/{path} has 3 MB, and the branch takes files up to 2 MB; nothing is saved; {advice}"
    )
    assert git("ls-remote", "origin", "mlops-store") == ""


@pytest.mark.parametrize("damage", ["truncated", "without artifacts", "no store", "a link"])
def test_a_damaged_branch_is_refused_and_changes_nothing(
    here: Path, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "copy"
    local_store.save(copy)
    if damage == "truncated":
        os.truncate(copy / database.NAME, 200_000)
        said = "mlops-store of origin/mlflow.db is damaged ("
    elif damage == "without artifacts":
        shutil.rmtree(copy / "artifacts")
        said = f"mlops-store of origin lacks the artifacts of {NAME} 1, {NAME} 2; "
    elif damage == "no store":
        shutil.rmtree(copy)
        (copy / "docs").mkdir(parents=True)
        (copy / "docs/index.md").write_text("Not a store")
        said = "mlops-store of origin/mlflow.db is damaged (it is not there); "
    else:
        (copy / "dvc").symlink_to("/etc")
        said = "mlops-store of origin holds dvc, which is no plain file; "
    git("--work-tree", str(copy), "add", "--all")
    commit = git("commit-tree", "-m", "Store of main at 0", git("write-tree"))
    git("push", "--quiet", "origin", f"{commit}:refs/heads/mlops-store")
    before = content()
    sentence = refused(store_branch.pull)
    assert sentence.startswith(said)
    assert sentence.endswith(
        "; nothing is changed; run `mlops store push --force` in a clone that has a whole .store"
    )
    assert content() == before
    assert not Path(".store.replaced").exists()
    assert git("for-each-ref", "refs/mlops/store") == ""
    store_branch.push(force=True)
    store_branch.pull()


def test_a_path_out_of_the_folder_is_not_written(here: Path, tmp_path: Path) -> None:
    blob = git("hash-object", "-w", "params.yaml")
    inner = git("mktree", given=f"100644 blob {blob}\tescaped")
    outer = git("mktree", given=f"040000 tree {inner}\t..")
    commit = git("commit-tree", "-m", "Store of main at 0", outer)
    git("push", "--quiet", "origin", f"{commit}:refs/heads/mlops-store")
    assert "holds ../escaped, which is no plain file; nothing is changed" in refused(
        store_branch.pull
    )
    assert not list(tmp_path.rglob("escaped"))


def test_a_push_that_origin_refuses_says_why(here: Path, tmp_path: Path) -> None:
    hook = tmp_path / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho GH013: see https://ada:s3cret@github.com >&2\nexit 1\n")
    hook.chmod(0o755)
    sentence = refused(store_branch.push)
    assert sentence.startswith("origin did not take mlops-store (remote: GH013: see https://github")
    assert "s3cret" not in sentence
    assert sentence.endswith("in Actions `contents: write`, and no rule against forced pushes")


@pytest.mark.parametrize("command", [store_branch.pull, store_branch.push])
def test_no_remote_no_answer_and_no_repository_are_told_apart(
    here: Path, command: Callable[[], str]
) -> None:
    git("update-ref", "refs/mlops/store", "HEAD")
    git("remote", "set-url", "origin", "https://ada:s3cret@127.0.0.1:9/octo/flights.git")
    sentence = refused(command)
    assert sentence.startswith("origin cannot be read (fatal: unable to access 'https://127.0.0.1")
    assert sentence.endswith("(`git ls-remote origin` must work), then try again")
    assert "s3cret" not in sentence
    assert git("rev-parse", "refs/mlops/store") == git("rev-parse", "HEAD"), "no branch is another"

    git("remote", "remove", "origin")
    assert refused(command) == (
        "there is no remote origin to keep the store on; add it with `git remote add origin URL`"
    )
    shutil.rmtree(".git")
    assert refused(command) == (
        f"{here} cannot be used with git (fatal: not a git repository (or any of the parent "
        "directories): .git), and the store is kept on a branch; run this in a clone of the project"
    )


def test_a_project_without_a_commit_has_nothing_deployed(here: Path) -> None:
    git("update-ref", "-d", "HEAD")
    assert refused(lambda: store_branch.push(deployed=True)) == (
        "the project has no commit yet that could be deployed; run `git commit` first"
    )


# Without a registry in .store


def test_there_may_be_nothing_to_pull_and_nothing_to_save(here: Path) -> None:
    shutil.rmtree(files.STORE)
    assert store_branch.pull() == "origin has no branch mlops-store yet; .store starts empty"
    tracking.store_lock()
    assert store_branch.push() == ".store is empty: there is nothing to save"
    assert git("ls-remote", "origin", "mlops-store") == ""


@pytest.mark.parametrize("kept", ["audit.jsonl", "drift.jsonl", "dvc/object"])
def test_beside_a_server_the_records_and_data_are_kept(here: Path, kept: str) -> None:
    mine = Path("mine")
    files.STORE.replace(mine)
    (files.STORE / kept).parent.mkdir(parents=True)
    (files.STORE / kept).write_bytes(b'{"id": "1"}\n')
    before = content()
    store_branch.push()
    shutil.rmtree(files.STORE)
    store_branch.pull()
    assert content() == before
    shutil.rmtree(files.STORE)
    mine.replace(files.STORE)
    assert f".store has {NAME} 1, {NAME} 2, which mlops-store of origin lacks" in refused(
        store_branch.pull
    )
