"""Pushes to main on the local GitHub: what is deployed, and that nothing is lost on the way."""

import github_server
import pytest
from act_run import Run
from github_git import git
from hosted import JUNE, Hosted
from loopback_proxy import Answer, Request


def push(hosted: Hosted, message: str) -> Run:
    """Commit and push to main; returns the run of deploy.yml."""
    hosted.commit(message)
    (run,) = hosted.github.push(hosted.project.folder)
    assert run.workflow == "deploy.yml"
    return run


def conclusions(run: Run) -> dict[str, str]:
    return {name.removeprefix("train / "): job.conclusion for name, job in run.jobs.items()}


def store(hosted: Hosted) -> str:
    return git(hosted.github.actions.git, "rev-parse", "mlops-store")


def overtake(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let somebody else save the store just as a workflow begins to; returns what they saved."""
    bare, serve = hosted.github.actions.git, github_server.serve
    before = store(hosted)
    other = git(bare, "commit-tree", "-m", "Of somebody else", f"{before}^{{tree}}")

    def overtaken(*arguments: object, **options: object) -> Answer:
        request = next(it for it in arguments if isinstance(it, Request))
        if "service=git-receive-pack" in request.query:  # a push begins
            git(bare, "update-ref", "refs/heads/mlops-store", other)
        return serve(*arguments, **options)

    monkeypatch.setattr(github_server, "serve", overtaken)
    return other


def test_a_moved_window_is_deployed_once_the_store_is_free_and_prose_is_not(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store(hosted)
    hosted.project.set(data__window=JUNE)
    hosted.commit("Train on June")
    hosted.github.push(hosted.project.folder, run=False)
    other = overtake(hosted, monkeypatch)
    (run,) = hosted.github.run(hosted.github.pending[0])
    monkeypatch.undo()
    expected = {"train": "success", "comment": "skipped", "model gate": "success"}
    assert conclusions(run) == expected | {"release": "failure"}
    assert "was saved by someone else since it was pulled here; nothing is changed" in run.log
    assert "in Actions, re-run all jobs" in run.log
    assert store(hosted) == other != before
    assert hosted.registry()["aliases"] == {"champion": 1}

    run = hosted.github.rerun(run)
    assert conclusions(run) == expected | {"release": "success"}
    assert "flight-delays version 2 is now champion (was version 1)" in run.summary
    registry = hosted.registry()
    assert registry["aliases"] == {"champion": 2, "previous": 1}
    assert registry["versions"][2]["git_commit"] == run.sha
    assert registry["versions"][2]["finding"] == "better"

    before = store(hosted)
    (hosted.project / "README.md").write_text("# Flights of 2013\n")
    run = push(hosted, "Say more")
    assert conclusions(run) == expected | {"release": "skipped"}
    assert "dvc repro" not in run.log
    assert store(hosted) == before


def test_the_gate_binds_on_main_also_for_a_push_that_was_superseded(hosted: Hosted) -> None:
    before = store(hosted)
    hosted.project.set(gate__floors={"roc_auc": 0.99})
    hosted.commit("A gate that nothing passes")
    # GitHub drops a run that waits in its group when a newer one comes.
    hosted.github.push(hosted.project.folder, run=False)
    (hosted.project / "README.md").write_text("# Flights of 2013\n")
    run = push(hosted, "Say more")
    assert conclusions(run) == {
        "train": "success",
        "comment": "skipped",
        "model gate": "failure",
        "release": "skipped",
    }
    assert run.conclusion == "failure"
    assert store(hosted) == before
