"""One click back to an earlier version, and one forward again."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from act_run import Run
from cancelling import Cancellation
from github_git import git
from hosted import Hosted
from overtaking import with_registry
from second_version import DEPLOY, SecondVersion
from webhook import Webhook


@pytest.fixture(scope="module")
def there_and_back(
    second_version: SecondVersion, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Hosted, list[Run], list[dict[str, int]], list[str]]:
    """Version 2 serves; back to 1, and forward to 2 by its number. With aliases and tag of each."""
    hosted = second_version.hosted.copy(tmp_path_factory.mktemp("rollback") / "hosted")
    runs, aliases, served = [], [], []
    with hosted.github as github:
        for inputs in ({}, {"version": "2"}):
            runs.append(github.dispatch("rollback.yml", **inputs))
            aliases.append(hosted.registry()["aliases"])
            served.append(hosted.tags()["production"])
        assert github.github.refused == []
    return hosted, runs, aliases, served


def test_the_version_before_serves_again_and_then_the_newer_one(
    there_and_back: tuple[Hosted, list[Run], list[dict[str, int]], list[str]],
) -> None:
    hosted, runs, aliases, served = there_and_back
    for run, version in zip(runs, (1, 2), strict=True):
        assert run.conclusion == "success", run.log
        assert run.jobs["outcome"].conclusion == "skipped"  # there is nothing to tell
        assert f"### production: version {version} serves" in run.summary
        (line,) = [it for it in run.summary.splitlines() if "serves again" in it]
        assert re.match(rf"Version {version} serves again, \d+ s after the first step of", line)
    tags = hosted.tags()
    assert served == [tags["v1"], tags["v2"]]
    assert tags["staging"] == tags["v2"]
    assert aliases == [{"champion": 1, "previous": 2}, {"champion": 2, "previous": 1}]


def test_what_was_deployed_stays_what_was_deployed(
    second_version: SecondVersion,
    there_and_back: tuple[Hosted, list[Run], list[dict[str, int]], list[str]],
) -> None:
    hosted, runs, *_ = there_and_back
    # Else the next push would take what was rolled back for new.
    assert hosted.github.log("mlops-store") == second_version.scenes["same"].store
    assert [(it["action"], it["to"], it["who"]) for it in hosted.registry()["audit"][2:]] == [
        ("rollback", 1, "ada"),
        ("rollback", 2, "ada"),
    ]
    last = hosted.github.deployments()[-2:]
    assert [(it.environment, it.state) for it in last] == [("production", "success")] * 2
    assert {it.sha for it in last} == {run.sha for run in runs}


def test_a_rollback_that_is_cancelled_after_the_switch_is_undone(
    second_version: SecondVersion, tmp_path: Path
) -> None:
    hosted = second_version.hosted.copy(tmp_path / "hosted")
    before = hosted.tags()
    with hosted.github as github, Webhook() as webhook:
        github.secrets["NOTIFY_URL"] = webhook.address
        github.actions.cancellation = Cancellation("rollback", DEPLOY, "confirm ...", "deploy")
        run = github.dispatch("rollback.yml")
    assert run.conclusion == "cancelled"
    assert webhook.texts == [
        "A failed rollback in octo/flight-delays: Version 1 was to serve again. "
        f"https://github.com/octo/flight-delays/actions/runs/{run.id}"
    ]
    assert "step 'confirm' failed: stopped by signal SIGINT" in run.jobs["rollback"].log
    assert hosted.tags() == before
    assert hosted.registry()["aliases"] == {"champion": 2, "previous": 1}
    assert {run.jobs[name].conclusion for name in ("promote", "save", "put back")} == {"skipped"}


def test_a_version_that_never_served(second_version: SecondVersion) -> None:
    run = second_version.run_of("without an image")
    assert run.conclusion == "failure"
    assert "Version 2 has no recorded image: it never served." in run.annotations[0].message
    scene = second_version.scenes["without an image"]
    assert scene.aliases == second_version.scenes["other predictions"].aliases
    assert scene.tags["production"] == scene.tags["v1"]
    assert scene.told == [
        "A failed rollback in octo/flight-delays: Version 2 was to serve again. "
        f"https://github.com/octo/flight-delays/actions/runs/{run.id}"
    ]


@pytest.mark.parametrize("version", ["1; touch x", "1\n::error::x", "challenger"])
def test_what_is_no_version(hosted: Hosted, version: str) -> None:
    run = hosted.github.dispatch("rollback.yml", version=version)
    assert [it.message for it in run.annotations] == [
        "The version must be a number or the word previous",
        "Process completed with exit code 1.",
    ]
    assert hosted.registry()["aliases"] == {"champion": 1}


def test_a_version_that_does_not_exist(hosted: Hosted) -> None:
    run = hosted.github.dispatch("rollback.yml", version="9")
    assert run.annotations[0].message == "flight-delays has no version 9; registered: 1"
    steps = {it.name: it.conclusion for it in run.jobs["rollback"].steps}
    assert steps["Deploy that image"] == "skipped"
    assert hosted.registry()["aliases"] == {"champion": 1}


def name_image(hosted: Hosted, image: str) -> None:
    """Edit the tag in the registry that names the image, as whoever may push can."""
    edit = f"UPDATE model_version_tags SET value = '{image}' WHERE key = 'image'"
    tree = with_registry(hosted, lambda registry: registry.execute(edit))
    bare = hosted.github.actions.git
    commit = git(bare, "commit-tree", "-m", hosted.github.log("mlops-store")[0], tree)
    git(bare, "update-ref", "refs/heads/mlops-store", commit)


def test_an_image_of_somebody_else(hosted: Hosted) -> None:
    foreign = f"evil.example/backdoor@sha256:{'0' * 64}"
    served = hosted.tags()
    name_image(hosted, foreign)
    run = hosted.github.dispatch("rollback.yml", version="1")
    assert run.conclusion == "failure"
    assert f"image '{foreign}' is not one of this repository" in run.annotations[0].message
    steps = {it.name: it.conclusion for it in run.jobs["rollback"].steps}
    assert steps["Deploy that image"] == "skipped"
    assert hosted.tags() == served
    assert not any("backdoor" in word for it in hosted.docker_commands() for word in it)


def test_an_image_that_another_branch_has_pushed_and_signed(hosted: Hosted) -> None:
    """Under the name of this repository: a workflow on any branch may push there, and sign."""
    name = f"ghcr.io/{hosted.github.repository}"
    file = hosted.docker / "registry" / f"{name}.json"
    known = json.loads(file.read_text())
    image = "sha256:" + "0" * 64
    digest = "sha256:" + hashlib.sha256(f"manifest of {image}".encode()).hexdigest()
    known["manifests"][digest] = image
    file.write_text(json.dumps(known))
    recorded = hosted.github.folder / "recorded" / "attest.jsonl"
    (noted, *_) = (json.loads(line) for line in recorded.read_text().splitlines())
    claims = noted["claims"] | {"ref": "refs/heads/mine"}
    with recorded.open("a") as lines:
        lines.write(json.dumps(noted | {"digest": digest, "claims": claims}) + "\n")
    served = hosted.tags()
    name_image(hosted, f"{name}@{digest}")
    run = hosted.github.dispatch("rollback.yml", version="1")
    assert run.conclusion == "failure"
    assert "step 'verify' failed: nothing proves that" in run.annotations[0].message
    assert "expected SourceRepositoryRef to be refs/heads/main" in run.annotations[0].message
    assert hosted.tags() == served
    assert not any("pull" in it and digest in " ".join(it) for it in hosted.docker_commands())
