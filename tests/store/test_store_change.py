"""Changes of the store that are made again when somebody else was faster."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clones import OVERTAKEN, branch, check_drift, checks, clone, git, refused, versions
from toy_project import NAME, ToyProject

from mlops.drift import history
from mlops.project import files
from mlops.registry import audit, promotion, tracking
from mlops.registry import versions as registry_versions
from mlops.store import branch as store_branch
from mlops.store import change as store_change


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
