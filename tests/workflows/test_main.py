"""Pushes to main on the local GitHub: what is deployed, and that nothing is lost on the way."""

from act_run import Run
from github_git import git
from hosted import Hosted


def push(hosted: Hosted, message: str) -> Run:
    """Commit and push to main; returns the run of deploy.yml."""
    hosted.commit(message)
    (run,) = hosted.github.push(hosted.project.folder)
    assert run.workflow == "deploy.yml"
    return run


DEPLOYMENT = (
    *("register", "save", "build", "image", "attest", "staging", "production"),
    *("promote", "save promotion", "put back", "outcome"),
)


def conclusions(run: Run) -> dict[str, str]:
    return {name.removeprefix("train / "): job.conclusion for name, job in run.jobs.items()}


def store(hosted: Hosted) -> str:
    return git(hosted.github.actions.git, "rev-parse", "mlops-store")


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
        "judge": "skipped",
        "comment": "skipped",
        "model gate": "failure",
        **dict.fromkeys(DEPLOYMENT, "skipped"),
    }
    assert run.conclusion == "failure"
    assert store(hosted) == before
