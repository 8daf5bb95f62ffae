"""What drift.yml does when something is in the way, on the real flights."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import recorded
from act_run import Run
from github_git import git
from hosted import Hosted, make_hosted
from overtaking import overtaken
from proposing import after_the_notice
from watching import all_of, changed, conclusions, found, history, issues, pulls, store
from webhook import Webhook

BRANCH = "retraining/2013-08-31"
OLDER = "retraining/2013-07-31"
BAD = """
    table.loc[table["time_hour"].dt.month == 8, "distance"] = -7
"""


def push(hosted: Hosted, message: str) -> str:
    """Commit and push to main, which starts no run here; returns the commit."""
    commit = hosted.commit(message)
    hosted.github.push(hosted.project.folder, run=False)
    hosted.github.pending.clear()
    return commit


@dataclass(frozen=True)
class Broken:
    """A retraining that breaks off twice, and the next run, which completes it."""

    hosted: Hosted
    store: str  # as it was before
    refused: Run  # GitHub failed as the pull request was opened
    without_pulls: Hosted  # from there, where workflows may open none
    issued: Run
    again: Run  # only what had failed; others kept it from recording
    opened: dict[str, Any]
    unrecorded: list[dict[str, Any]]
    completed: Run  # with an app that proposes
    replaced: dict[str, Any]
    started: list[tuple[str, str, str]]  # by what the app did
    told: list[str]  # by the webhook, after each run


@pytest.fixture(scope="module")
def broken(deployed: Hosted, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    hosted = deployed.copy(tmp_path_factory.mktemp("broken") / "hosted")
    with hosted.github as github, Webhook() as webhook:
        github.secrets["NOTIFY_URL"] = webhook.address
        github.actions.left_out |= {"ci.yml", "deploy.yml"}
        before = store(hosted)
        older(hosted)
        # Half a year teaches more than the champion's January, and never as much as is asked for.
        half_a_year = {"start": "2013-01", "end": "2013-06"}
        hosted.project.set(data__window=half_a_year, gate__floors={"roc_auc": 0.95})
        push(hosted, "Ask for more than any model has")
        github.github.fail("POST", "/pulls$", 500, times=2)
        refused = github.dispatch("drift.yml", as_of="2013-08-31")
        elsewhere = hosted.copy(tmp_path_factory.mktemp("issued") / "hosted")

        github.actions.known["actions_may_open_pull_requests"] = True
        with overtaken(hosted, 5):
            again = github.rerun(refused, failed=True)
        opened = deepcopy(pulls(hosted)[-1])
        unrecorded = history(hosted)

        hosted.project.set(gate__floors={"roc_auc": 0.6})
        push(hosted, "Ask for what there is")
        github.variables["PROPOSE_CLIENT_ID"] = "Iv1.0123"
        github.secrets["PROPOSE_KEY"] = "-----BEGIN RSA PRIVATE KEY-----"
        completed = github.schedule("drift.yml")
        replaced = deepcopy(pulls(hosted)[-1])
        started = [(event.name, event.action, event.actor) for event in github.pending]
        recorded.check(github.github.requests)
        assert github.github.refused == []
    with elsewhere.github as github:
        issued = github.rerun(github.runs[-1], failed=True)
        recorded.check(github.github.requests)
    return Broken(
        hosted,
        before,
        refused,
        elsewhere,
        issued,
        again,
        opened,
        unrecorded,
        completed,
        replaced,
        started,
        webhook.texts,
    )


def older(hosted: Hosted) -> None:
    """Leave a pull request of the month before open, as a run back then would have."""
    bare = hosted.github.actions.git
    commit = git(bare, "commit-tree", "main^{tree}", "-p", "main", "-m", "Of July")
    git(bare, "update-ref", f"refs/heads/{OLDER}", commit)
    wish = {"head": OLDER, "base": "main", "title": "Retrain on data up to 2013-07-31"}
    path = f"/repos/{hosted.github.repository}"
    pull = hosted.github.github.ask("POST", f"{path}/pulls", wish, login="github-actions[bot]")
    labels = {"labels": ["retraining"]}
    hosted.github.github.ask("POST", f"{path}/issues/{pull['number']}/labels", labels, login="ada")
    hosted.github.pending.clear()


def test_what_broke_off_is_not_on_record(broken: Broken) -> None:
    assert conclusions(broken.refused) == {
        **all_of("success", "drift", "data", "challenger"),
        "propose": "failure",
        **all_of("skipped", "record", "save"),
    }, broken.refused.log
    assert conclusions(broken.again) == {
        **all_of("success", "drift", "data", "challenger", "propose", "record"),
        "save": "failure",
    }, broken.again.log
    assert broken.unrecorded == []


def test_the_next_run_completes_it(broken: Broken) -> None:
    assert set(conclusions(broken.completed).values()) == {"success"}, broken.completed.log
    assert found(broken.completed)["current"]["end"] == "2013-08-31"
    assert [it["end"] for it in history(broken.hosted)] == ["2013-08-31"]


def test_a_challenger_that_is_not_good_enough_is_a_draft_that_says_so_first(broken: Broken) -> None:
    assert broken.opened["draft"] is True
    assert broken.opened["title"].startswith("❌ Not good enough: retrained on ")
    body = after_the_notice(broken.opened["body"])
    assert body.startswith("## ❌ The retrained model is not good enough (ROC AUC")


def test_the_same_pull_request_gets_the_newer_branch(broken: Broken) -> None:
    assert broken.replaced["number"] == broken.opened["number"]
    assert broken.replaced["head"]["sha"] != broken.opened["head"]["sha"]
    assert broken.replaced["head"]["ref"] == BRANCH
    assert broken.replaced["body"].startswith("## ✅ Retraining helps (ROC AUC")
    assert broken.replaced["draft"] is False
    assert "dvc.lock" in changed(broken.hosted, BRANCH)
    assert len(pulls(broken.hosted)) == 2


def test_the_checks_of_what_an_app_proposes_start_by_themselves(broken: Broken) -> None:
    assert broken.started == [("pull_request", "synchronize", "flights[bot]")]
    (noted,) = broken.hosted.recorded("app")
    assert noted["may"] == {
        **dict.fromkeys(("contents", "issues", "pull-requests"), "write"),
        "workflows": "",
    }


def test_one_for_an_older_window_is_closed_with_a_link(broken: Broken) -> None:
    july = pulls(broken.hosted)[0]
    assert (july["head"]["ref"], july["state"]) == (OLDER, "closed")
    (comment,) = broken.hosted.github.comments(july["number"])
    assert comment["body"].startswith(
        f"Superseded by https://github.com/octo/flight-delays/pull/{broken.opened['number']}."
    )


def test_the_webhook_is_told_of_what_is_opened_and_of_what_replaces_it(broken: Broken) -> None:
    """And not of what broke off before."""
    page = f"https://github.com/octo/flight-delays/pull/{broken.opened['number']}"
    assert broken.told == [
        f"A proposed retraining in octo/flight-delays: {it['title']}. {page}"
        for it in (broken.opened, broken.replaced)
    ]


def test_where_workflows_may_open_none_an_issue_says_how_to_go_on(broken: Broken) -> None:
    hosted = broken.without_pulls
    assert set(conclusions(broken.issued).values()) == {"success"}, broken.issued.log
    (issue,) = issues(hosted)
    assert "Allow GitHub Actions to create and approve pull requests" in issue["body"]
    assert f"octo/flight-delays/compare/main...{BRANCH}" in issue["body"]
    assert "params.yaml" in changed(hosted, BRANCH)
    assert [it["decision"] for it in history(hosted)] == ["retrain"]


def test_where_no_challenger_can_be_trained_the_check_is_not_on_record(
    deployed: Hosted, tmp_path: Path
) -> None:
    """Else the next run would take the window for judged, and never ask one."""
    hosted = deployed.copy(tmp_path / "hosted")
    with hosted.github as github:
        github.actions.left_out |= {"ci.yml", "deploy.yml"}
        hosted.project.set(estimator__max_iter=-1)
        push(hosted, "An estimator that cannot be fitted")
        run = github.dispatch("drift.yml", as_of="2013-08-31")
        assert conclusions(run) == {
            **all_of("success", "drift", "data"),
            "challenger": "failure",
            **all_of("skipped", "propose", "record", "save"),
        }, run.log
        assert history(hosted) == []


@dataclass(frozen=True)
class Refusals:
    """Bad data twice, and good data that are not new."""

    hosted: Hosted
    store: str
    bad: Run
    opened: dict[str, Any]
    still_bad: Run
    good: Run
    told: list[str]  # by the webhook


@pytest.fixture(scope="module")
def refusals(deployed: Hosted, tmp_path_factory: pytest.TempPathFactory) -> Refusals:
    hosted = deployed.copy(tmp_path_factory.mktemp("refusals") / "hosted")
    with hosted.github as github, Webhook() as webhook:
        github.secrets["NOTIFY_URL"] = webhook.address
        github.actions.left_out |= {"ci.yml", "deploy.yml"}
        before = store(hosted)
        hosted.change_data(BAD)
        push(hosted, "Data as a broken source would give it")
        bad = github.schedule("drift.yml")
        opened = deepcopy(issues(hosted)[-1])
        still_bad = github.schedule("drift.yml")
        hosted.project.run("git", "revert", "--no-edit", "HEAD")
        github.push(hosted.project.folder, run=False)
        good = github.dispatch("drift.yml", as_of="2013-07-31")
        recorded.check(github.github.requests)
        assert github.github.refused == []
    return Refusals(hosted, before, bad, opened, still_bad, good, webhook.texts)


def test_bad_data_is_shown_and_told_and_nothing_is_trained_on_it(refusals: Refusals) -> None:
    assert conclusions(refusals.bad) == {
        "drift": "failure",
        "data": "success",
        **all_of("skipped", "challenger", "propose", "record", "save"),
    }, refusals.bad.log
    assert refusals.bad.summary.startswith("## ⛔ Data refused\n")
    row = next(line for line in refusals.bad.summary.splitlines() if line.startswith("| distance"))
    assert "distance=-7" in row
    assert row in refusals.opened["body"]
    assert (refusals.opened["state"], refusals.opened["labels"]) == ("open", ["drift"])
    assert (refusals.bad.artifacts["drift"] / "drift.md").read_text() in refusals.bad.summary


def test_the_webhook_is_told_of_the_same_bad_data_once(refusals: Refusals) -> None:
    assert conclusions(refusals.still_bad) == conclusions(refusals.bad)
    (issue,) = issues(refusals.hosted)
    assert f"/actions/runs/{refusals.still_bad.id}" in issue["body"]
    assert refusals.told == [
        "Refused data in octo/flight-delays: Nothing was trained on it, and nothing changes in "
        f"production. https://github.com/octo/flight-delays/issues/{issue['number']}"
    ]


def test_the_issue_is_closed_when_the_data_are_good_again(refusals: Refusals) -> None:
    assert conclusions(refusals.good) == {
        **all_of("success", "drift", "data"),
        **all_of("skipped", "challenger", "propose", "record", "save"),
    }, refusals.good.log
    (issue,) = issues(refusals.hosted)
    assert issue["state"] == "closed"


def test_no_new_data_says_so_and_changes_nothing(refusals: Refusals) -> None:
    drift = found(refusals.good)
    assert (drift["new_data"], drift["decision"]) == (False, "none")
    assert drift["sentence"] in refusals.good.summary
    assert store(refusals.hosted) == refusals.store
    assert pulls(refusals.hosted) == []


def test_without_a_champion_there_is_nothing_to_watch(tmp_path: Path) -> None:
    hosted = make_hosted(tmp_path / "hosted")
    with hosted.github as github:
        github.push(hosted.project.folder, run=False)
        run = github.schedule("drift.yml")
        assert run.conclusion == "success", run.log
        assert "There is no champion yet: nothing to watch." in run.summary
        assert "mlops-store" not in git(github.actions.git, "branch", "--list")


@pytest.mark.parametrize(
    "as_of", ["2013-06-30; touch x", "$(touch x)", "2013-6-1", "June\n::error::x"]
)
def test_what_is_no_day(hosted: Hosted, as_of: str) -> None:
    run = hosted.github.dispatch("drift.yml", as_of=as_of)
    assert [it.message for it in run.annotations] == [
        "as_of must be a day such as 2013-06-30, or empty for today",
        "Process completed with exit code 1.",
    ]
    assert conclusions(run) == {
        "drift": "failure",
        **all_of("skipped", "data", "challenger", "propose", "record", "save"),
    }


def test_another_branch(hosted: Hosted) -> None:
    hosted.github.push(hosted.project.folder, "change")
    run = hosted.github.dispatch("drift.yml", "change")
    assert run.annotations[0].message == "Run this on main: the champion is that of main"
