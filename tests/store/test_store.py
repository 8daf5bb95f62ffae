"""The built-in store: saved, restored, and never lost."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_project import NAME, ToyProject, refused, truncate

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import audit, database, model_version, promotion, tracking, versions
from mlops.store import folder


def content(folder: Path) -> dict[str, bytes]:
    """Return every file's bytes, without the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != tracking.LOCK
    }


def champion() -> int:
    """Return the champion's version after loading it."""
    client = tracking.connect()
    found = versions.fetch(client, NAME, "champion")
    assert found is not None
    model_version.load(client, found[0])
    return int(found[0].version)


def test_a_saved_store_is_restored_whole(project: ToyProject, tmp_path: Path) -> None:
    (files.STORE / "dvc").mkdir()
    (files.STORE / "dvc" / "object").write_bytes(b"data")
    (files.STORE / "drift.jsonl").write_bytes(b'{"id": "1"}\n')
    saved = tmp_path / "saved"
    folder.save(saved)
    assert sorted(path.name for path in saved.iterdir()) == [
        *("artifacts", "audit.jsonl", "drift.jsonl", "dvc", "mlflow.db")
    ]
    before = content(saved)
    promotion.promote(tracking.connect(), project.params)
    assert champion() == 2
    folder.restore(saved)
    assert content(files.STORE) == before == content(saved)
    assert champion() == 1
    assert len(audit.read()) == 1
    assert (Path(".store.replaced") / database.NAME).is_file()


def test_saving_again_replaces_the_copy(project: ToyProject, tmp_path: Path) -> None:
    folder.save(tmp_path / "saved")
    promotion.promote(tracking.connect(), project.params)
    folder.save(tmp_path / "saved")
    shutil.rmtree(files.STORE)
    folder.restore(tmp_path / "saved")
    assert champion() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project", "saved"]


def test_a_save_during_a_write_is_of_one_moment(project: ToyProject, tmp_path: Path) -> None:
    writer = sqlite3.connect(files.STORE / database.NAME)
    writer.execute("UPDATE registered_model_aliases SET version = 2 WHERE alias = 'champion'")
    folder.save(tmp_path / "saved")
    writer.commit()
    writer.close()
    assert model_version.aliases(tracking.connect(), NAME)["champion"] == 2
    folder.restore(tmp_path / "saved")
    assert champion() == 1


def test_a_damaged_store_is_not_saved(project: ToyProject, tmp_path: Path) -> None:
    folder.save(tmp_path / "saved")
    before = content(tmp_path / "saved")
    truncate()
    sentence = refused(lambda: folder.save(tmp_path / "saved"))
    assert sentence.startswith(".store/mlflow.db is damaged (")
    assert content(tmp_path / "saved") == before


def test_a_damaged_store_is_replaced_and_kept_aside(project: ToyProject, tmp_path: Path) -> None:
    folder.save(tmp_path / "saved")
    left = truncate()
    folder.restore(tmp_path / "saved")
    assert champion() == 1
    assert (Path(".store.replaced") / database.NAME).read_bytes() == left


def test_a_save_goes_nowhere_else_than_to_a_store(project: ToyProject, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    sentence = refused(lambda: folder.save(tmp_path / "home"))
    assert "holds thesis.tex, which is no part of a store" in sentence
    assert content(tmp_path / "home") == {"thesis.tex": b"precious"}
    sentence = refused(lambda: folder.save(tmp_path / "home" / "thesis.tex"))
    assert "is a file; name a folder" in sentence


def test_versions_are_not_lost_without_force(project: ToyProject, tmp_path: Path) -> None:
    folder.save(tmp_path / "old")
    project.register(3)
    before = content(files.STORE)
    sentence = refused(lambda: folder.restore(tmp_path / "old"))
    assert sentence == (
        f".store has {NAME} 3, which {tmp_path}/old lacks and would be lost; nothing is changed; "
        "use --force if they may go"
    )
    assert content(files.STORE) == before
    folder.restore(tmp_path / "old", force=True)
    assert set(project.aliases().values()) == {1, 2}
    shutil.copytree(".store.replaced", tmp_path / "new", ignore=lambda *_: ["lock"])
    sentence = refused(lambda: folder.save(tmp_path / "new"))
    assert f"{tmp_path}/new has {NAME} 3, which .store lacks" in sentence


def test_a_version_number_given_twice_is_not_taken_for_the_same(
    project: ToyProject, tmp_path: Path
) -> None:
    shutil.copytree(files.STORE, tmp_path / "fork")
    project.register(3)
    folder.save(tmp_path / "third")
    folder.restore(tmp_path / "fork", force=True)
    project.register(4)
    assert f".store has {NAME} 3" in refused(lambda: folder.restore(tmp_path / "third"))


@pytest.mark.parametrize("lost", ["mlflow.db", "artifacts"])
def test_a_copy_that_is_not_whole_is_not_restored(
    project: ToyProject, tmp_path: Path, lost: str
) -> None:
    saved, before = tmp_path / "saved", content(files.STORE)
    folder.save(saved)
    if lost == "artifacts":
        shutil.rmtree(saved / lost)
        expected = f"{saved} lacks the artifacts of {NAME} 1, {NAME} 2; restore from another folder"
    else:
        (saved / lost).unlink()
        expected = f"{saved}/mlflow.db is damaged (it is not there); restore from another folder"
    assert refused(lambda: folder.restore(saved)) == expected
    assert content(files.STORE) == before


@pytest.mark.parametrize("step", ["shutil.copytree", "pathlib.Path.replace"])
def test_a_killed_restore_is_done_by_the_next(
    project: ToyProject,
    tmp_path: Path,
    killed_at: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    folder.save(tmp_path / "saved")
    before = content(files.STORE)
    killed_at(
        lambda: folder.restore(tmp_path / "saved"), lambda die: monkeypatch.setattr(step, die)
    )
    assert content(files.STORE) == before
    folder.restore(tmp_path / "saved")
    assert champion() == 1
    assert {path.name for path in Path.cwd().glob(".store*")} == {".store", ".store.replaced"}


def test_a_restore_killed_between_its_two_moves_leaves_both_stores(
    project: ToyProject, tmp_path: Path, killed_at: Callable[..., None], monkeypatch: Any
) -> None:
    folder.save(tmp_path / "saved")
    before = content(files.STORE)
    _kill_at_second_move(killed_at, monkeypatch, lambda: folder.restore(tmp_path / "saved"))
    sentence = refused(tracking.connect)
    assert f"mlflow.db is not there but {Path.cwd()}/.store.replaced is" in sentence
    assert content(Path(".store.replaced")) == before
    folder.restore(tmp_path / "saved")
    assert champion() == 1


def test_a_save_killed_between_its_two_moves_loses_nothing(
    project: ToyProject, tmp_path: Path, killed_at: Callable[..., None], monkeypatch: Any
) -> None:
    saved = tmp_path / "saved"
    folder.save(saved)
    _kill_at_second_move(killed_at, monkeypatch, lambda: folder.save(saved))
    assert not saved.exists()
    folder.restore(saved)
    assert champion() == 1


def _kill_at_second_move(
    killed_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch, function: Callable[[], None]
) -> None:
    original, moves = Path.replace, []

    def arm(die: Callable[..., None]) -> None:
        def move(source: Path, target: Path) -> None:
            moves.append(source)
            if len(moves) == 2:
                die()
            original(source, target)

        monkeypatch.setattr("pathlib.Path.replace", move)

    killed_at(function, arm)


@pytest.mark.parametrize("kind", ["link", "hard link", "link to a folder", "pipe"])
def test_links_in_a_copy_are_not_followed(project: ToyProject, tmp_path: Path, kind: str) -> None:
    saved, secret = tmp_path / "saved", tmp_path / "secrets" / "key"
    folder.save(saved)
    secret.parent.mkdir()
    secret.write_text("secret")
    path = saved / "artifacts" / "evil"
    make = {
        "link": lambda: path.symlink_to(secret),
        "hard link": lambda: path.hardlink_to(secret),
        "link to a folder": lambda: path.symlink_to(secret.parent),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    before = content(files.STORE)
    with pytest.raises(MlopsError, match=f"^{path} is a link or no plain file, and a store has "):
        folder.restore(saved, force=True)
    assert content(files.STORE) == before
