"""The store on the branch of origin: pulled, pushed, fought over, and never lost."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT
from toy_project import NAME, ToyProject

from mlops import cli
from mlops.drift import history
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import audit, database, promotion, tracking
from mlops.registry import versions as registry_versions
from mlops.store import branch as store_branch
from mlops.store import change as store_change
from mlops.store import folder as local_store
from mlops.store import git_objects

ACTION = yaml.safe_load((ROOT / ".github/actions/store/action.yml").read_text(encoding="utf-8"))
(STEP,) = ACTION["runs"]["steps"]
OVERTAKEN = (
    "; nothing is changed, there or in .store. Run `mlops store pull` (it refuses to drop versions "
    "that only .store has, unless told --force), then register again; in Actions, re-run all jobs"
)


def git(*arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["git", *arguments], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(function: Callable[[], Any]) -> str:
    """Return the one line that the user reads."""
    with pytest.raises(MlopsError) as caught:
        function()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert ".git/mlops" not in sentence, "our own folders mean nothing to the user"
    return sentence


def content(folder: Path = files.STORE) -> dict[str, bytes]:
    """Return the bytes of every file that counts."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != tracking.LOCK and path.parent.name != "__pycache__"
    }


def versions() -> set[int]:
    return {version.number for version in database.versions(files.STORE / database.NAME)}


def check_drift(*names: str) -> None:
    """Note checks in the history of drift, as ``mlops drift --record`` does."""
    for name in names:
        files.append_line(files.STORE / "drift.jsonl", {"id": name, "checked": name})


def checks() -> list[str]:
    return [entry["id"] for entry in history.read()]


def branch() -> str:
    """Return the commit that origin has for the branch."""
    return git("ls-remote", "origin", "refs/heads/mlops-store").split()[0]


def clone(project: Path, folder: Path) -> Path:
    """Make another clone of a project's origin."""
    git("clone", "--quiet", git("-C", str(project), "remote", "get-url", "origin"), str(folder))
    return folder


@pytest.fixture
def here(project: ToyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a store, committed and pushed to an origin that has no mlops-store yet."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITHUB_REF"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    for repository in (["--bare", str(tmp_path / "origin.git")], ["."]):
        git("-c", "init.defaultBranch=main", "init", "--quiet", *repository)
    git("remote", "add", "origin", str(tmp_path / "origin.git"))
    Path(".gitignore").write_text("/.store/\n/.store.*/\n/empty.db\n/models/\n/reports/\n")
    Path("params.yaml").write_text(f"name: {NAME}\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "A project")
    git("push", "--quiet", "origin", "HEAD:main")
    return Path.cwd()


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


# What is refused


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


# Changes that are made again when somebody was faster


@pytest.fixture
def overtaken(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Any]], None]:
    """Let another clone change and save the store between our next pull and our push."""
    store_branch.push()
    there = clone(here, tmp_path / "there")

    def overtake(change: Callable[[], Any]) -> None:
        pushed = store_branch.push

        def late(*given: bool, **named: bool) -> str:
            monkeypatch.setattr(store_branch, "push", pushed)
            with monkeypatch.context() as patch:
                patch.chdir(there)
                store_branch.pull()
                change()
                pushed()
            return pushed(*given, **named)

        monkeypatch.setattr(store_branch, "push", late)

    return overtake


def test_who_lost_the_race_promotes_on_what_the_other_saved(
    project: ToyProject,
    here: Path,
    overtaken: Callable[[Callable[[], Any]], None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    image = f"ghcr.io/octo/flights@sha256:{'0' * 64}"
    overtaken(lambda: project.register(3))
    said, blank, saved = store_change.promote(ToyProject.params, 2, image).splitlines()
    assert said == f"{NAME} version 2 is now champion (was version 1)"
    assert blank == ""
    assert saved.endswith(f" MB): Store of main at {git('rev-parse', 'HEAD')}")
    told = capfd.readouterr()
    assert f"{OVERTAKEN}; trying again" in told.err
    assert "::error" not in told.out + told.err, "only the last attempt is an error of the job"
    assert not files.FAILURE.exists()
    # Not what MLflow had open of the store before: that of the branch, by another process.
    shutil.rmtree(files.STORE)
    store_branch.pull()
    assert versions() == {1, 2, 3}
    client = tracking.connect()
    told = registry_versions.lineage(client, ToyProject.params, "champion")
    assert (told["version"], told["image"]) == (2, image)
    assert [(it["from"], it["to"]) for it in audit.read()] == [(None, 1), (1, 2)]


def test_what_the_winner_made_of_it_is_heeded(
    here: Path, overtaken: Callable[[Callable[[], Any]], None]
) -> None:
    overtaken(lambda: promotion.promote(tracking.connect(), ToyProject.params, 2, "Now."))
    assert "version 1 is now champion (was version 2)" in store_change.rollback(
        ToyProject.params, 1
    )
    assert [(it["action"], it["to"]) for it in audit.read()][-2:] == [
        ("promote", 2),
        ("rollback", 1),
    ]


def test_a_drift_check_is_recorded_beside_that_of_another(
    here: Path,
    overtaken: Callable[[Callable[[], Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "record", lambda told: check_drift(told["id"]) or "is recorded")
    monkeypatch.setattr(files, "read_json", lambda *_: {"id": "ours"})
    overtaken(lambda: check_drift("theirs"))
    assert store_change.record().startswith("is recorded\n\n.store is saved in mlops-store")
    assert set(checks()) == {"ours", "theirs"}


def test_who_loses_every_race_gives_up(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_branch.push()
    tree, pulls, pull = f"{branch()}^{{tree}}", [], store_branch.pull
    monkeypatch.setattr(store_branch, "pull", lambda: pulls.append(1) or pull())

    def move(*_: object) -> None:
        other = git("commit-tree", "-m", f"{len(pulls)}", tree)
        git("push", "--quiet", "--force", "origin", f"{other}:refs/heads/mlops-store")

    monkeypatch.setattr(store_branch, "_refuse_large", move)
    image = f"ghcr.io/octo/flights@sha256:{'0' * 64}"
    change = store_change.promote
    assert refused(lambda: change(ToyProject.params, 2, image)).endswith(OVERTAKEN)
    assert len(pulls) == 3


# The commands and the action


def test_the_commands_say_what_was_done(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr("sys.argv", ["mlops", "store", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return f"{stopped.value.code or 0} {said.out}", said.err

    monkeypatch.setattr("sys.path", [])
    out, err = run("push")
    assert out.startswith("0 .store is saved in mlops-store of origin (")
    assert err == "Saving .store in mlops-store of origin ...\n"
    out, err = run("pull", "--force")
    assert out.startswith("0 .store is pulled from mlops-store of origin: Store, nothing deployed")
    assert err == "Fetching mlops-store of origin ...\n"
    git("update-ref", "-d", "refs/mlops/store")
    out, err = run("push")
    assert out == "1 "
    assert err.splitlines()[-1] == f"mlops: mlops-store of origin is not pulled yet{OVERTAKEN}"


def action(folder: Path, do: str) -> subprocess.CompletedProcess[str]:
    """Run the action's step, with an ``mlops`` that says how it was called and what git knows."""
    given = {
        "${{ inputs.version }}": "",
        "${{ inputs.image }}": "",
        "${{ inputs.do }}": do,
        "${{ inputs.token }}": "t0ken",
        "${{ github.server_url }}": "https://github.com",
    }
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    for name, value in STEP["env"].items():
        for expression, text in given.items():
            value = value.replace(expression, text)
        assert "${{" not in value
        environment[name] = value
    (folder / "mlops").write_text(
        '#!/bin/sh\necho "mlops $*"\nprintf "protocol=https\\nhost=github.com\\n\\n" > asked\n'
        "git credential fill < asked >&2\ngit credential fill < asked | git credential approve\n"
    )
    (folder / "mlops").chmod(0o755)
    (folder / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("do", "command"), [("restore", "pull"), ("save", "push")])
def test_the_action_gives_git_the_token_and_leaves_it_nowhere(
    tmp_path: Path, do: str, command: str
) -> None:
    done = action(tmp_path, do)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"mlops store {command}\n"
    assert {"username=x-access-token", "password=t0ken"} <= set(done.stderr.splitlines())
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "asked"}
    assert "t0ken" not in str(kept)
    assert kept.get("summary.md") == ("mlops store push\n" if do == "save" else None)


def test_the_action_knows_what_it_can_do(tmp_path: Path) -> None:
    done = action(tmp_path, "destroy")
    assert done.returncode == 1
    assert done.stdout == (
        "::error title=store::do is 'destroy'; it must be restore, save, save-deployed, promote, "
        "rollback or record\n"
    )
    assert "${{" not in STEP["run"]
