"""Raw files added to the branch of the store, without anything else of it."""

from pathlib import Path

import pytest
from clones import clone, git, refused

from mlops.project import files
from mlops.registry import audit
from mlops.store import branch as store_branch
from mlops.store import change, origin


def raw_file(name: str = "ab/cd", content: bytes = b"rows") -> Path:
    path = files.STORE / "dvc/files/md5" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def listed() -> list[str]:
    git("fetch", "--quiet", "origin", "mlops-store")
    return git("ls-tree", "-r", "--name-only", "FETCH_HEAD").splitlines()


def test_only_the_files_get_there(here: Path) -> None:
    raw_file("ef/gh", b"a model of this machine")
    said = change.add_data([raw_file()])
    assert said == "1 file (0.0 MB) added to mlops-store of origin, and nothing else"
    assert listed() == ["dvc/files/md5/ab/cd"]
    assert change.add_data([raw_file()]) == "mlops-store of origin has all of it already"
    store_branch.push()
    assert {"mlflow.db", "dvc/files/md5/ab/cd", "dvc/files/md5/ef/gh"} <= set(listed())


def test_what_others_saved_stays_and_is_not_taken_for_pulled(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_branch.push()
    there = clone(here, tmp_path / "there")
    monkeypatch.chdir(there)
    store_branch.pull()
    audit.append({"id": "of another"})
    store_branch.push()
    monkeypatch.chdir(here)
    before = set(listed())
    change.add_data([raw_file()])
    assert set(listed()) == before | {"dvc/files/md5/ab/cd"}
    assert "was saved by someone else since it was pulled here" in refused(store_branch.push)


def test_somebody_who_saves_meanwhile_is_not_overwritten(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_branch.push()
    replace, faster = origin.replace, iter(["of another"])

    def overtaken(base: str | None, commit: str) -> None:
        for name in faster:
            other = git("commit-tree", "-m", name, f"{base}^{{tree}}")
            git("push", "--quiet", "--force", "origin", f"{other}:refs/heads/mlops-store")
        replace(base, commit)

    monkeypatch.setattr(origin, "replace", overtaken)
    change.add_data([raw_file()])
    assert "dvc/files/md5/ab/cd" in listed()
    assert git("log", "-1", "--format=%s", "FETCH_HEAD") == "of another"


def test_a_file_that_github_refuses_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_branch, "LARGEST_MB", 1)
    path = raw_file(content=bytes(1_100_000))
    sentence = refused(lambda: change.add_data([path]))
    assert "has 1 MB, and the branch takes files up to 1 MB; nothing is saved" in sentence
    assert "keep data elsewhere" in sentence
    assert git("ls-remote", "origin", "refs/heads/mlops-store") == ""
