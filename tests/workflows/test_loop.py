"""The whole loop on the real flights, unattended but for the click that merges.

The champion knows January. August violates, September does so again, a pull request with its
evidence comes, is merged and deployed; and October finds nothing that calls for another.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import recorded
from act_run import Run
from github_git import git
from github_rest import GitHubError
from hosted import JUNE, Hosted
from overtaking import overtaken
from watching import all_of, changed, checks, conclusions, found, history, pulls

BRANCH = "retraining/2013-09-30"
RULESET = {
    "name": "main",
    "target": "branch",
    "enforcement": "active",
    "rules": [
        {
            "type": "required_status_checks",
            "parameters": {
                "strict_required_status_checks_policy": True,
                "required_status_checks": [{"context": "model gate"}],
            },
        }
    ],
}


@dataclass(frozen=True)
class Loop:
    """All runs, and how things stood between them."""

    hosted: Hosted
    august: Run
    september: Run
    unchecked: str  # why it could not be merged at first
    checked: list[Run]  # what the pull request has of checks, once somebody let them run
    pull: dict[str, Any]
    head: str
    proposed: list[str]
    saved_by_others: list[str]
    store: list[str]
    deployed: Run
    october: Run


@pytest.fixture(scope="module")
def loop(deployed: Hosted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    hosted = deployed.copy(tmp_path_factory.mktemp("loop") / "hosted")
    with hosted.github as github:
        github.actions.left_out.add("ci.yml")
        github.actions.known["actions_may_open_pull_requests"] = True
        # Not deployed, but what a retraining starts from: the month before the holdout. What one
        # month has taught scores the next ones otherwise: neither a fault, nor drift.
        hosted.project.set(data__window=JUNE, serving__canary__shift=0.9, drift__predictions=0.5)
        hosted.project.set(drift__retrain={"when": "drifts"})
        hosted.commit("Train on the month before")
        github.push(hosted.project.folder, run=False)
        github.pending.clear()
        august = github.schedule("drift.yml")
        with overtaken(hosted, 1) as others:
            september = github.schedule("drift.yml")
        saved = github.log("mlops-store")
        (pull,) = pulls(hosted)
        assert github.pending == []
        github.github.ask("POST", f"/repos/{github.repository}/rulesets", RULESET, login="octo")
        with pytest.raises(GitHubError) as blocked:
            github.merge(pull["number"])
        checked = github.approve_workflows(pull["number"])
        head = git(github.actions.git, "rev-parse", BRANCH)
        proposed = changed(hosted, BRANCH)
        github.actions.known["workflow_states"] = {"drift.yml": "disabled_inactivity"}
        (after,) = [run for run in github.merge(pull["number"]) if run.workflow == "deploy.yml"]
        october = github.schedule("drift.yml")
        yield Loop(
            hosted,
            august,
            september,
            str(blocked.value),
            checked,
            pull,
            head,
            proposed,
            others,
            saved,
            after,
            october,
        )
        recorded.check(github.github.requests)
        assert github.github.refused == []


def test_one_window_that_violates_is_watched(loop: Loop) -> None:
    assert conclusions(loop.august) == {
        **all_of("success", "drift", "data", "record", "save"),
        **all_of("skipped", "challenger", "propose"),
    }, loop.august.log
    drift = found(loop.august)
    assert (drift["decision"], drift["current"]["start"]) == ("watch", "2013-08-01")
    assert drift["sentence"] in loop.august.summary
    assert set(loop.august.artifacts) == {"drift", "store-record"}
    names = {path.name for path in loop.august.artifacts["drift"].iterdir()}
    assert names == {"drift.json", "drift.html", "drift.md", "drift.prom"}


def test_the_second_leads_to_a_pull_request_of_exactly_its_files(loop: Loop) -> None:
    assert set(conclusions(loop.september).values()) == {"success"}, loop.september.log
    assert found(loop.september)["decision"] == "retrain"
    assert loop.pull["head"]["ref"] == BRANCH
    title = r"Retrain on 2013-.+: ROC AUC 0\.\d{3} → 0\.\d{3} on 2013-09"
    assert re.fullmatch(title, loop.pull["title"])
    assert loop.pull["labels"] == ["retraining"]
    assert loop.pull["draft"] is False
    assert loop.proposed == [
        "dvc.lock",
        "params.yaml",
        "reports/retraining/2013-09-30/comparison.json",
        "reports/retraining/2013-09-30/drift.json",
        "reports/retraining/2013-09-30/report.md",
    ]


def test_its_text_is_the_evidence(loop: Loop) -> None:
    run = f"https://github.com/octo/flight-delays/actions/runs/{loop.september.id}"
    assert run in loop.pull["body"]
    reasons = found(loop.september)["reasons"]
    assert reasons
    assert [it for it in reasons if it not in loop.pull["body"]] == []


def test_its_checks_wait_for_somebody_as_a_bot_opened_it(loop: Loop) -> None:
    assert loop.pull["body"].startswith("> [!IMPORTANT]\n> **Its checks wait for you.**")
    assert 'Required status check "model gate" is expected.' in loop.unchecked
    (run,) = loop.checked
    assert (run.workflow, run.event) == ("train.yml", "pull_request")
    assert checks(loop.hosted, loop.head) == all_of(
        "success", "train", "judge", "comment", "model gate"
    ), run.log


def test_what_others_save_meanwhile_is_not_lost(loop: Loop) -> None:
    assert len(loop.saved_by_others) == 1
    # Theirs was pulled before ours was added; and what is deployed stays what they said it is.
    assert loop.store == ["Of somebody else, 1"]


def test_what_was_reviewed_is_what_is_deployed(loop: Loop) -> None:
    assert loop.deployed.conclusion == "success", loop.deployed.log
    assert f"The very model that was reviewed in #{loop.pull['number']}." in loop.deployed.summary
    assert "Running stage" not in loop.checked[0].jobs["train"].log + loop.deployed.log
    assert loop.hosted.registry()["aliases"] == {"champion": 2, "previous": 1}
    assert "**Version 2 serves in production, and is champion.**" in loop.deployed.summary


def test_whoever_deploys_is_told_that_the_schedule_is_off(loop: Loop) -> None:
    assert "On again: `gh workflow enable drift.yml`" in loop.deployed.summary
    (first,) = [run for run in loop.hosted.github.runs[:2] if run.workflow == "deploy.yml"]
    assert "gh workflow enable" not in first.summary


def test_then_nothing_has_drifted(loop: Loop) -> None:
    drift = found(loop.october)
    assert drift["champion"]["version"] == 2
    assert drift["current"]["start"] == "2013-10-01"
    assert drift["decision"] == "none", drift["sentence"]
    assert conclusions(loop.october)["challenger"] == "skipped"
    assert len(pulls(loop.hosted)) == 1


def test_each_check_is_on_record(loop: Loop) -> None:
    assert [(it["champion"], it["end"], it["decision"]) for it in history(loop.hosted)] == [
        (1, "2013-08-31", "watch"),
        (1, "2013-09-30", "retrain"),
        (2, "2013-10-31", "none"),
    ]
