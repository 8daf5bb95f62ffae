"""The store on the branch of origin: pulled, pushed, fought over, and never lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import OVERTAKEN, branch, check_drift, checks, clone, content, git, refused, versions
from toy_project import NAME, ToyProject

from mlops.project import files
from mlops.registry import audit, tracking
from mlops.registry import versions as registry_versions
from mlops.store import branch as store_branch
from mlops.store import folder as local_store
from mlops.store import git_objects

# Round trip


def test_a_pushed_store_is_pulled_whole_by_another_clone(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files.STORE / "dvc/files/md5/ab").mkdir(parents=True)
    (files.STORE / "dvc/files/md5/ab/cd").write_bytes(bytes(range(256)) + b"\r\n\0")
    (files.STORE / "dvc/files/md5/ab/empty").touch()
    local_store.save(tmp_path / "expected")
    expected, head = content(tmp_path / "expected"), git("rev-parse", "HEAD")
    size = sum(map(len, expected.values())) / 1e6
    said = store_branch.push(deployed=True)
    message = f"Store of main at {head}"
    assert said == f".store is saved in mlops-store of origin ({size:.1f} MB): {message}"

    monkeypatch.chdir(clone(here, tmp_path / "there"))
    assert store_branch.pull() == f".store is pulled from mlops-store of origin: {message}"
    assert content() == expected
    client = tracking.connect()
    assert registry_versions.lineage(client, ToyProject.params, "champion")["version"] == 1


def test_the_branch_is_one_commit_without_a_parent(here: Path) -> None:
    (files.STORE / "artifacts/__pycache__").mkdir(exist_ok=True)
    (files.STORE / "artifacts/__pycache__/features.pyc").write_bytes(b"of loading a version")
    store_branch.push()
    for change in ("1", "2"):
        audit.append({"id": change})
        store_branch.push(deployed=True)
    git("fetch", "--quiet", "origin", "mlops-store")
    assert git("rev-list", "--count", "FETCH_HEAD") == "1"
    assert git("log", "-1", "--format=%an <%ae> %cn: %B", "FETCH_HEAD") == (
        f"Ada <ada@example.org> Ada: Store of main at {git('rev-parse', 'HEAD')}"
    )
    assert set(git("ls-tree", "--name-only", "FETCH_HEAD").splitlines()) == {
        *("artifacts", "audit.jsonl", "mlflow.db")
    }
    assert "__pycache__" not in git("ls-tree", "-r", "--name-only", "FETCH_HEAD")


@pytest.mark.parametrize(("ref_name", "branch_name"), [("release", "release"), (None, "HEAD")])
def test_a_shallow_detached_checkout_as_in_actions(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ref_name: str | None,
    branch_name: str,
) -> None:
    git("commit", "--quiet", "--allow-empty", "--message", "Second")
    git("push", "--quiet", "origin", "HEAD:main")
    store_branch.push()
    there = tmp_path / "there"
    origin = f"file://{tmp_path}/origin.git"
    git("clone", "--quiet", "--depth=1", "--branch=main", origin, str(there))
    monkeypatch.chdir(there)
    git("checkout", "--quiet", "--detach")
    if ref_name:
        monkeypatch.setenv("GITHUB_REF_NAME", ref_name)
    store_branch.pull()
    said = store_branch.push(deployed=True)
    assert said.endswith(f"MB): Store of {branch_name} at {git('rev-parse', 'HEAD')}")
    assert git("rev-list", "--count", "HEAD") == "1"


def test_pulling_does_not_make_a_whole_clone_shallow(here: Path, tmp_path: Path) -> None:
    git("remote", "set-url", "origin", f"file://{tmp_path}/origin.git")  # not by copying files
    store_branch.push()
    store_branch.pull()
    assert git("rev-parse", "--is-shallow-repository") == "false"


def test_only_a_deployment_moves_the_commit_that_is_deployed(here: Path) -> None:
    assert store_branch.push().endswith("MB): Store, nothing deployed yet")
    store_branch.push(deployed=True)
    first = branch()
    message = f"Store of main at {git('rev-parse', 'HEAD')}"
    assert store_branch.push(deployed=True).endswith(f"is up to date: {message}")
    assert branch() == first

    git("commit", "--quiet", "--allow-empty", "--message", "Not deployed yet")
    audit.append({"id": "of a laptop"})
    assert store_branch.push().endswith(f"MB): {message}")
    newest = f"Store of main at {git('rev-parse', 'HEAD')}"
    assert store_branch.push(deployed=True).endswith(f"MB): {newest}")
    git("fetch", "--quiet", "origin", "mlops-store")
    assert git("log", "-1", "--format=%s", "FETCH_HEAD") == newest


def test_the_project_and_its_index_are_left_alone(here: Path) -> None:
    Path("staged.txt").write_text("staged")
    git("add", "staged.txt")
    Path("params.yaml").write_text("name: edited\n")
    index = Path(".git/index").read_bytes()
    before = git("status", "--porcelain"), git("show-ref", "--head", "--heads")
    assert len(before[0].splitlines()) == 2
    store_branch.push()
    store_branch.pull()
    assert Path(".git/index").read_bytes() == index
    assert git("status", "--porcelain") == before[0]
    assert git("show-ref", "--head", "--heads") == before[1]
    assert not Path(".git/mlops-store").exists()


def test_no_setting_of_git_changes_a_byte(here: Path, tmp_path: Path) -> None:
    (files.STORE / "dvc").mkdir()
    (files.STORE / "dvc/text").write_bytes(b"one\r\ntwo\n$Id$\n")
    (tmp_path / "ignore").write_text("*.db\n*.onnx\ndvc\n")
    (tmp_path / "attributes").write_text("* text=auto eol=crlf ident export-subst\n")
    (tmp_path / "gitconfig").write_text(
        "[core]\nautocrlf = true\nsafecrlf = true\n"
        f"excludesFile = {tmp_path}/ignore\nattributesFile = {tmp_path}/attributes\n"
        f"hooksPath = {tmp_path}/hooks\n"
        "[commit]\ngpgsign = true\n[user]\nuseConfigOnly = true\n[gpg]\nprogram = false\n"
        "[push]\ngpgSign = true\nfollowTags = true\nuseForceIfIncludes = true\n"
        "[i18n]\ncommitEncoding = latin-1\n"
    )
    (tmp_path / "hooks").mkdir()
    hook = tmp_path / "hooks/pre-push"
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    (here / ".git/info/attributes").write_text("* filter=missing\n")
    local_store.save(tmp_path / "expected")
    store_branch.push()
    shutil.rmtree(files.STORE)
    store_branch.pull()
    assert content() == content(tmp_path / "expected")
    assert git("log", "-1", "--format=%an <%ae>", "refs/mlops/store") == "mlops <mlops@localhost>"


def test_data_that_only_this_clone_has_survives_a_pull(here: Path) -> None:
    store_branch.push()
    (files.STORE / "dvc/files/md5/ab").mkdir(parents=True)
    (files.STORE / "dvc/files/md5/ab/cd").write_bytes(b"new data")
    store_branch.pull()
    assert (files.STORE / "dvc/files/md5/ab/cd").read_bytes() == b"new data"
    store_branch.push()
    assert git("ls-tree", "-r", "--name-only", branch(), "dvc/") == "dvc/files/md5/ab/cd"


def test_a_drift_check_that_only_this_clone_has_survives_a_pull(here: Path) -> None:
    check_drift("1")
    store_branch.push()
    check_drift("2")
    (files.STORE / "drift.jsonl").write_bytes((files.STORE / "drift.jsonl").read_bytes()[:-1])
    store_branch.pull()
    assert checks() == ["1", "2"]
    store_branch.push()
    check_drift("3")
    store_branch.pull(force=True)
    assert checks() == ["1", "2"], "what may go is gone"


# Two who save


def test_of_two_savers_the_second_is_refused_and_nobody_loses_a_version(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ToyProject()
    store_branch.push()
    monkeypatch.chdir(clone(here, tmp_path / "there"))
    store_branch.pull()
    project.register(4)

    monkeypatch.chdir(here)
    project.register(3)
    store_branch.push()
    first = branch()

    monkeypatch.chdir(tmp_path / "there")
    before = content()
    assert refused(store_branch.push) == (
        f"mlops-store of origin was saved by someone else since it was pulled here{OVERTAKEN}"
    )
    assert branch() == first
    assert refused(store_branch.pull) == (
        f".store has {NAME} 3, which mlops-store of origin lacks and would be lost; nothing is "
        "changed; use --force if they may go"
    )
    assert content() == before
    assert refused(store_branch.push).endswith(OVERTAKEN), "the refused pull was none"

    store_branch.pull(force=True)
    assert project.register(4) == 4
    store_branch.push()
    monkeypatch.chdir(here)
    store_branch.pull()
    assert versions() == {1, 2, 3, 4}


def test_two_who_check_drift_keep_both_records(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_drift("before")
    store_branch.push()
    monkeypatch.chdir(clone(here, tmp_path / "there"))
    store_branch.pull()
    check_drift("there")
    monkeypatch.chdir(here)
    check_drift("here")
    store_branch.push()

    monkeypatch.chdir(tmp_path / "there")
    assert refused(store_branch.push).endswith(OVERTAKEN)
    store_branch.pull()
    assert checks() == ["before", "here", "there"]
    store_branch.push()
    listed = git("cat-file", "blob", f"{branch()}:drift.jsonl").splitlines()
    assert [json.loads(line)["id"] for line in listed] == ["before", "here", "there"]


def test_a_branch_that_was_never_pulled_is_not_replaced(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_branch.push()
    first = branch()
    there = clone(here, tmp_path / "there")
    shutil.copytree(files.STORE, there / ".store")
    monkeypatch.chdir(there)
    assert refused(store_branch.push) == f"mlops-store of origin is not pulled yet{OVERTAKEN}"
    assert branch() == first
    store_branch.pull()
    assert "is up to date" in store_branch.push()


@pytest.mark.parametrize("start", ["no branch", "a branch", "a branch, and force"])
def test_a_branch_that_moves_while_we_save_is_not_replaced(
    here: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    if start != "no branch":
        store_branch.push()
        audit.append({"id": "1"})
    other = git("commit-tree", "-m", "Of another", "HEAD^{tree}")

    def move(*_: object) -> None:
        git("push", "--quiet", "--force", "origin", f"{other}:refs/heads/mlops-store")

    monkeypatch.setattr(store_branch, "_refuse_large", move)
    assert refused(lambda: store_branch.push("force" in start)).endswith(OVERTAKEN)
    assert branch() == other


def test_a_branch_that_was_deleted_is_made_anew_only_after_a_pull(here: Path) -> None:
    store_branch.push()
    git("push", "--quiet", "origin", "--delete", "mlops-store")
    before = content()
    assert refused(store_branch.push) == (
        "origin no longer has the branch mlops-store that was pulled here; nothing is changed. "
        "Run `mlops store pull` to accept that, then `mlops store push` to make it anew"
    )
    assert store_branch.pull() == "origin has no branch mlops-store yet; .store stays as it is"
    assert content() == before
    store_branch.push()
    assert branch() == git("rev-parse", "refs/mlops/store")


@pytest.mark.parametrize("ending", ["killed", "unanswered"])
def test_a_push_that_ended_before_the_answer_does_not_lock_us_out(
    here: Path,
    killed_at: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    store_branch.push()
    audit.append({"id": "1"})
    if ending == "killed":
        step = "mlops.store.origin.remember"
        killed_at(store_branch.push, lambda die: monkeypatch.setattr(step, die))
        assert branch() != git("rev-parse", "refs/mlops/store")
    else:

        def hang_up(*arguments: str, given: str = "") -> str:
            said = git(*arguments, given=given)
            if arguments[0] == "push":
                raise git_objects.GitError("the remote end hung up")
            return said

        with monkeypatch.context() as patch:
            patch.setattr("mlops.store.origin.git", hang_up)
            assert " is saved in " in store_branch.push()
    audit.append({"id": "2"})
    store_branch.push()
    assert branch() == git("rev-parse", "refs/mlops/store")


@pytest.mark.parametrize(
    "step",
    ["mlops.store.branch._keep_data", "mlops.store.folder.restore", "mlops.store.origin.remember"],
)
def test_a_killed_pull_is_done_by_the_next(
    here: Path,
    tmp_path: Path,
    killed_at: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    local_store.save(tmp_path / "expected")
    store_branch.push()
    store_branch.pull()
    before = content()
    assert before == content(tmp_path / "expected")
    git("update-ref", "-d", "refs/mlops/store")
    killed_at(store_branch.pull, lambda die: monkeypatch.setattr(step, die))
    assert content() == before
    assert refused(store_branch.push).endswith(OVERTAKEN), "a pull counts when it is done"
    store_branch.pull()
    assert content() == before
    assert " is up to date" in store_branch.push()
