"""The first push of a fresh project, with no secret, no variable and no store: all green."""

from act_run import Run
from hosted import Hosted

CHECKS = {"lint", "test (3.11)", "test (3.12)", "test (3.13)", "loop", "data schema", "pass"}


def of(runs: list[Run], workflow: str) -> Run:
    (run,) = [run for run in runs if run.workflow == workflow]
    return run


def test_everything_is_green(deployed: Hosted) -> None:
    runs = deployed.github.runs
    assert {run.workflow: run.conclusion for run in runs} == {
        "ci.yml": "success",
        "deploy.yml": "success",
    }
    checks = of(runs, "ci.yml").jobs
    assert {name: job.conclusion for name, job in checks.items()} == dict.fromkeys(
        CHECKS, "success"
    )
    assert [note for run in runs for note in run.annotations if note.level != "notice"] == []


def test_the_first_model_is_registered_and_champion(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    assert {name: job.conclusion for name, job in run.jobs.items()} == {
        "train / train": "success",
        "train / comment": "skipped",
        "train / model gate": "success",
        "release": "success",
    }
    assert run.summary.startswith("## 🌱 First model: nothing to compare with\n")
    assert "flight-delays version 1 is now champion (the first)" in run.summary
    registry = deployed.registry()
    assert registry["aliases"] == {"champion": 1}
    assert registry["versions"][1]["git_commit"] == run.sha
    (line,) = registry["audit"]
    assert (line["who"], line["action"], line["to"], line["commit"]) == (
        "ada",
        "promote",
        1,
        run.sha,
    )


def test_the_store_is_one_commit_that_names_what_was_deployed(deployed: Hosted) -> None:
    sha = of(deployed.github.runs, "deploy.yml").sha
    assert deployed.github.log("mlops-store") == [f"Store of main at {sha}"]
    files = deployed.github.files("mlops-store")
    assert {name.split("/")[0] for name in files} == {
        "mlflow.db",
        "artifacts",
        "audit.jsonl",
        "dvc",
    }
