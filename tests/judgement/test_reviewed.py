"""Main deploys the model that was reviewed, or says what it deploys instead, or stops."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recorded
from github_git import git
from github_server import FakeGitHub

from mlops.artifact.model_folder import Facts
from mlops.judgement import reviewed
from mlops.judgement.metric import Predictions
from mlops.project import actions, files
from mlops.project.errors import MlopsError

NAME = "octo/flights"
OURS = {"holdout_md5": "4011", "model_md5": "aa", "made_from": "11", "scores": [0.25, 0.5, 200.0]}
Merged = Callable[[dict[str, Any] | None], Path]


@pytest.fixture
def merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Merged]:
    """Return what lets run 7 judge a pull request, merges it, and gives the reports of run 8."""
    with FakeGitHub(tmp_path / "github") as github:
        bare = github.add_repository(NAME)
        github.add_token("ghs_of_the_run", "github-actions[bot]", write=False, repository=NAME)
        (tmp_path / "file").write_text("1\n")
        git(bare, "update-ref", "refs/heads/main", commit(bare, tmp_path / "file"))
        (tmp_path / "file").write_text("2\n")
        head = commit(bare, tmp_path / "file", "-p", "main")
        git(bare, "update-ref", "refs/heads/change", head)
        wish = {"head": "change", "base": "main", "title": "Change"}
        github.ask("POST", f"/repos/{NAME}/pulls", wish, login="ada")
        for name, value in {
            **github.environment,
            "GH_TOKEN": "ghs_of_the_run",
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_RUN_ID": "8",
        }.items():
            monkeypatch.setenv(name, value)

        def merge(theirs: dict[str, Any] | None) -> Path:
            sha = github.merge(NAME, 1)
            monkeypatch.setenv("GITHUB_SHA", sha)
            github.state["repositories"][NAME]["heads_of_runs"] = {"7": head, "8": sha}
            for run, told in (("7", theirs), ("8", OURS)):
                folder = github.folder / f"runs/{run}/artifacts/holdout-4011"
                if told is not None:
                    folder.mkdir(parents=True)
                    (folder / "scores.json").write_text(json.dumps(told))
            return github.folder / "runs/8/artifacts/holdout-4011"

        yield merge
        recorded.check(github.requests)


def commit(bare: Path, file: Path, *parents: str) -> str:
    blob = git(bare, "hash-object", "-w", str(file))
    git(bare, "update-index", "--add", "--cacheinfo", f"100644,{blob},params.yaml")
    return git(bare, "commit-tree", "-m", "Change", *parents, git(bare, "write-tree"))


def test_the_same_bytes(merged: Merged) -> None:
    assert reviewed.check(merged(OURS)) == "The very model that was reviewed in #1."


def test_other_bytes_that_say_the_same(merged: Merged) -> None:
    scores = [0.25, 0.5 + 1e-8, 200.0 + 1e-5]  # of which a part in a million is 2e-4
    assert reviewed.check(merged({**OURS, "model_md5": "bb", "scores": scores})) == (
        "Trained again: other bytes than reviewed in #1, the same scores (of 3 rows, the largest "
        "difference is 5e-08)."
    )


@pytest.mark.parametrize("scores", [[0.25, 0.50001, 200.0], [0.25, 0.5], [0.25, None, 200.0]])
def test_another_model_made_from_the_same_is_not_registered(
    merged: Merged, scores: list[float]
) -> None:
    reports = merged({**OURS, "model_md5": "bb", "scores": scores})
    with pytest.raises(MlopsError, match="this is not the model that was reviewed in #1: made"):
        reviewed.check(reports)


def test_main_has_moved_on_since(merged: Merged) -> None:
    said = reviewed.check(merged({**OURS, "model_md5": "bb", "made_from": "22", "scores": [1.0]}))
    assert said.startswith("Not the model that was reviewed in #1: code, data, settings or")
    assert said.endswith("the model was judged anew here.")


def test_what_was_reviewed_is_not_kept_any_more(merged: Merged) -> None:
    """Nor is what this run has kept taken for it."""
    said = reviewed.check(merged(None))
    assert said.startswith("What was reviewed in #1 cannot be had any more, or was judged on other")


def test_a_judgement_from_before_scores_were_noted(merged: Merged) -> None:
    assert "or it is not on record" in reviewed.check(merged({}))


def test_a_push_without_a_pull_request(merged: Merged, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = merged(OURS)
    monkeypatch.setenv("GITHUB_SHA", "main~1")
    assert reviewed.check(reports).startswith("No pull request brought this commit")


def test_a_file_that_is_too_large_is_not_read(merged: Merged) -> None:
    reports = merged({**OURS, "model_md5": "bb", "scores": [0.123456789] * 100_000})
    with pytest.raises(MlopsError, match=r"scores.json in artifact \d+ has 1\d{6} bytes; at most"):
        reviewed.check(reports)


def test_outside_a_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    with pytest.raises(MlopsError, match="works in a workflow only, in a step with GH_TOKEN"):
        reviewed.check(tmp_path)


def test_github_does_not_answer(merged: Merged, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = merged(OURS)
    monkeypatch.setenv("GH_TOKEN", "ghs_of_nobody")
    with pytest.raises(MlopsError, match="HTTP 401"):
        reviewed.check(reports)


@pytest.mark.parametrize(("classes", "rows"), [(1, 1000), (3, 1000), (200, 100), (30_000, 1)])
def test_what_is_noted_can_be_read_again_however_many_classes_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int, rows: int
) -> None:
    monkeypatch.chdir(tmp_path)
    scores = np.random.default_rng(0).random((1500, classes))
    facts = Facts.model_construct(model_md5="aa", threshold=None)
    reviewed.note(facts, Predictions(scores if classes > 1 else scores[:, 0]), "4011")
    assert len(json.loads(files.SCORES.read_text())["scores"]) == rows
    assert files.SCORES.stat().st_size < actions.LARGEST
