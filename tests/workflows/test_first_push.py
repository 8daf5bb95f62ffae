"""The first push of a fresh project, with no secret, no variable and no store: all green."""

import json
from hashlib import sha256

from act_run import Run
from hosted import Hosted

CHECKS = {
    *("lint", "test", "data schema", "pass"),
}


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
    assert [line for run in runs for line in run.log.splitlines() if "fatal:" in line] == []


def test_the_first_model_is_registered_and_champion(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    assert {name: job.conclusion for name, job in run.jobs.items()} == {
        "train / train": "success",
        "train / judge": "skipped",
        "train / comment": "skipped",
        "train / model gate": "success",
        "register": "success",
        "save": "success",
        "build": "success",
        "image": "success",
        "attest": "success",
        "staging": "success",
        "production": "success",
        "promote": "success",
        "save promotion": "success",
        "put back": "skipped",
        "outcome": "success",
    }
    assert run.summary.startswith("## 🌱 First model: nothing to compare with\n")
    assert "flight-delays version 1 is now champion (the first)" in run.summary
    assert "**Version 1 serves in production, and is champion.**" in run.summary
    registry = deployed.registry()
    assert registry["aliases"] == {"champion": 1}
    assert registry["versions"][1]["git_commit"] == run.sha
    (line,) = registry["audit"]
    assert (line["approved_by"], line["sha256_before"]) == (None, None)
    text = deployed.github.files("mlops-store")["audit.jsonl"].splitlines()[0]
    assert f"`mlops lineage --verify --known {sha256(text).hexdigest()}`" in run.summary
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
        "cml.sha256",
        "dvc",
    }


def test_the_image_that_was_tested_is_the_one_that_serves(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    image = run.jobs["image"].outputs["image"]
    name, _, digest = image.partition("@")
    assert name == "ghcr.io/octo/flight-delays"
    assert deployed.registry()["versions"][1]["image"] == image
    assert deployed.tags() == {"v1": digest, "staging": digest, "production": digest}
    commands = deployed.docker_commands()
    built = next(it for it in commands if it[0] == "build")
    assert {"--build-arg", f"REVISION={run.sha}", "VERSION=1"} < set(built)
    order = [it[0] for it in commands if it[0] in ("build", "save", "run", "login", "load", "push")]
    assert order[:6] == ["build", "save", "run", "login", "load", "push"]
    assert order.count("push") == 1
    tag = f"{name}:v1"
    sbom = json.loads((run.artifacts["sbom"] / "sbom.spdx.json").read_text())
    assert sbom["name"] == tag


def test_an_old_base_image_does_not_stop_the_first_deployment(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    (scanned,) = deployed.recorded("trivy-action")
    assert scanned["found"] == ["CVE-2026-0"]
    assert "There is no champion yet to compare with: nothing is stopped." in run.summary


def test_who_built_it_is_signed_and_verified(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    said = f"signed by {deployed.github.repository}/.github/workflows/deploy.yml at refs/heads/main"
    assert run.summary.count(said) == 2  # staging and production
    assert "Not attested" not in run.summary
    assert "No pull request brought this commit: the model was judged here" in run.summary


def test_github_has_recorded_both_deployments(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    assert [(it.environment, it.sha, it.state) for it in deployed.github.deployments()] == [
        ("staging", run.sha, "success"),
        ("production", run.sha, "success"),
    ]


def test_the_model_card_is_attached(deployed: Hosted) -> None:
    run = of(deployed.github.runs, "deploy.yml")
    card = (run.artifacts["model-card"] / "model_card.md").read_text()
    assert card.startswith("# Model card: flight-delays, version 1\n")
    assert "ada merged it, nobody had to approve it, on 20" in card
    assert card.strip() in run.summary


def test_no_service_outlives_its_run(deployed: Hosted) -> None:
    assert deployed.left_running() == []
