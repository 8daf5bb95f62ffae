"""The action ``issue`` keeps one issue about a matter, as long as it lasts."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded
import yaml
from github_server import FakeGitHub
from projects import ROOT

ACTION = ROOT / ".github" / "actions" / "issue"
NAME = "octo/flights"
TOKEN = "ghs_of_the_run"
ISSUES = f"https://github.com/{NAME}/issues"
RUN = f"https://github.com/{NAME}/actions/runs/77"


class Keeper:
    """The step of action.yml, in a folder with a report."""

    def __init__(self, github: FakeGitHub, folder: Path) -> None:
        self.github, self.folder = github, folder
        github.add_repository(NAME)
        github.add_token(TOKEN, "github-actions[bot]", write=True, repository=NAME, is_actions=True)
        self.report = folder / "report.md"

    def run(self, text: str = "", *, fails: bool = False, **given: str) -> str:
        """Run it; returns what it says."""
        if text:
            self.report.write_text(text)
        (step,) = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
        inputs = {
            "key": "bad-data",
            "state": "open",
            "title": "The newest data is refused",
            "body": str(self.report),
            "labels": "drift, data",
            "token": TOKEN,
            **given,
        }
        (self.folder / "output").write_text("")
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            env={
                **self.github.environment,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "DO_NOT_TRACK": "1",
                "GITHUB_ACTION_PATH": str(ACTION),
                "GITHUB_REPOSITORY": NAME,
                "GITHUB_RUN_ID": "77",
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
                "GITHUB_OUTPUT": str(self.folder / "output"),
                **{
                    name: re.sub(r"\$\{\{ inputs\.(\S+) \}\}", lambda it: inputs[it[1]], value)
                    for name, value in step["env"].items()
                },
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (int(fails), ""), done
        return done.stdout

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def issues(self) -> list[dict[str, Any]]:
        return list(self.github.state["repositories"][NAME]["issues"].values())

    def comments(self) -> list[str]:
        return [it["body"] for it in self.github.state["repositories"][NAME]["comments"].values()]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with FakeGitHub(tmp_path / "github") as github:
        yield Keeper(github, tmp_path)
        recorded.check(github.requests)
        assert github.refused == []


def test_one_issue_is_opened_brought_up_to_date_and_closed(keeper: Keeper) -> None:
    assert keeper.run(state="closed", body="") == "::notice title=Issue::no issue to close\n"
    assert (keeper.issues, keeper.output) == ([], "new=false\n")
    said = keeper.run("No column `distance`.\n")
    assert said == f"::notice title=Issue::{ISSUES}/1 says what is the matter\n"
    assert keeper.output == f"url={ISSUES}/1\nnumber=1\nnew=true\n"
    keeper.run("No column `carrier`.\n")
    (issue,) = keeper.issues
    assert (issue["title"], issue["labels"]) == ("The newest data is refused", ["drift", "data"])
    assert issue["body"] == (
        f"<!-- issue: bad-data -->\nNo column `carrier`.\n\n\n---\n\nAs of {RUN}."
    )

    assert keeper.run(state="closed", body="", title="") == (
        f"::notice title=Issue::closed {ISSUES}/1\n"
    )
    assert issue["state"] == "closed"
    assert keeper.output == f"url={ISSUES}/1\nnumber=1\nnew=false\n"
    assert keeper.comments() == [f"This is over, as {RUN} says."]
    assert keeper.run(state="closed") == "::notice title=Issue::no issue to close\n"
    keeper.run("Again.\n")
    assert [it["state"] for it in keeper.issues] == ["closed", "open"]


def test_it_is_news_where_more_than_the_run_has_changed(keeper: Keeper) -> None:
    """Each week that the same data is refused, the issue names the newer run, and nothing else."""

    def is_news(text: str, title: str = "Refused", run: str = "77") -> bool:
        keeper.run(
            f"{text}\n<sub>[run](https://github.com/{NAME}/actions/runs/{run})</sub>\n", title=title
        )
        return keeper.output.endswith("new=true\n")

    assert is_news("No column `distance`.")
    assert not is_news("No column `distance`.", run="78")
    assert keeper.issues[0]["body"].count("/actions/runs/78") == 1
    assert is_news("No column `carrier`.")
    assert is_news("No column `carrier`.", title="Still refused")
    keeper.github.ask("PATCH", f"/repos/{NAME}/issues/1", {"state": "closed"}, login="ada")
    assert not is_news("No column `origin`.", title="Still refused")
    assert is_news("No column `origin`.", title="Refused again")


def test_what_people_have_closed_stays_closed(keeper: Keeper) -> None:
    keeper.run("x")
    keeper.github.ask("PATCH", f"/repos/{NAME}/issues/1", {"state": "closed"}, login="ada")
    said = keeper.run("x")
    assert said == (f"::notice title=Issue::left alone: {ISSUES}/1 said the same, and was closed\n")
    keeper.run("x", key="other")
    keeper.run("x", title="Something else")
    assert [it["state"] for it in keeper.issues] == ["closed", "open", "open"]


def test_texts_of_others_stay_texts(keeper: Keeper) -> None:
    title = "`id` $(touch x)\n::error::no ##[error]no"
    assert keeper.run("::error::\0" + "long " * 20_000, title=title).count("\n") == 1
    (issue,) = keeper.issues
    assert issue["title"] == " ".join(title.split())
    assert issue["body"].startswith("<!-- issue: bad-data -->\n::error::long long ")
    assert issue["body"].endswith(f"As of {RUN}.")
    assert len(issue["body"]) < 60_000
    assert not (Path.cwd() / "x").exists()

    keeper.report.unlink()
    keeper.report.symlink_to("/proc/self/environ")
    for given, words in (
        ({}, "the text of the issue, has to be a file"),
        ({"body": "none.md"}, "'none.md', the text of the issue, has to be a file"),
        ({"key": "-->"}, "key is '-->', not a word"),
        ({"state": "over"}, "state is 'over', not open or closed"),
    ):
        said = keeper.run(fails=True, **given)
        assert said.startswith("::error title=Issue::")
        assert words in said
    assert len(keeper.issues) == 1


def test_where_issues_are_off_the_run_goes_on(keeper: Keeper) -> None:
    keeper.github.fail("GET", "/issues", 410, times=1)
    said = keeper.run("x")
    assert said == "::warning title=Issue::No issue: they are turned off in this repository.\n"
    assert keeper.output == "new=true\n"
    keeper.github.fail("GET", "/issues", 410, times=1)
    keeper.run(state="closed")
    assert keeper.output == "new=false\n"
    keeper.github.fail("POST", "/issues", 500)
    assert "Server Error (HTTP 500)" in keeper.run("x", fails=True)
