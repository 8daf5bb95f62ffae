"""``propose`` asks for review once, leaves people's work alone, or says how to go on."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import recorded
from github_server import FakeGitHub
from proposing import BOT, BRANCH, NAME, SETTING, TOKEN, Desk, after_the_notice

# Stands for a git beside which somebody pushes to the branch in the moment before it does.
RACE = """\
#!/bin/sh
case "$1" in push) "{git}" -C "{bare}" update-ref refs/heads/{branch} main ;; esac
exec "{git}" "$@"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with FakeGitHub(tmp_path / "github") as github:
        yield Desk(github, tmp_path / "desk")
        recorded.check(github.requests)
        assert github.refused == []


def test_it_opens_a_draft_and_keeps_it_up_to_date(desk: Desk) -> None:
    desk.may_open_pulls()
    done = desk.propose({"machinery.py": "one = 2\n", "new.py": "two = 2\n"}, body="First.\n")
    assert done.code == 0
    assert done.summary == f"Opened https://github.com/{NAME}/pull/1.\n"
    assert f"::notice title=Propose::opened https://github.com/{NAME}/pull/1\n" in done.said
    (pull,) = desk.known["pulls"].values()
    assert after_the_notice(pull["body"]) == "First.\n"
    assert (pull["title"], pull["draft"]) == ("Update to 1a2b3c4", True)
    assert (pull["head"]["ref"], pull["base"]["ref"]) == (BRANCH, "main")
    assert pull["labels"] == ["template", "machinery"]
    assert desk.show(f"{BRANCH}:new.py") == "two = 2"
    assert desk.show(BRANCH, "%s|%ae|%ce|%P").split("\n")[0] == "|".join(
        ["Update to 1a2b3c4", BOT, BOT, desk.git("rev-parse", "FETCH_HEAD")]
    )
    assert TOKEN not in (desk.folder / ".git" / "config").read_text()
    assert not (desk.folder / "new.py").exists(), "what is proposed stays out of the checkout"

    desk.github.requests.clear()
    done = desk.propose({"machinery.py": "one = 2\n", "new.py": "two = 2\n"}, body="First.\n")
    assert done.summary == f"Nothing new: https://github.com/{NAME}/pull/1 proposes it.\n"
    assert desk.writes() == []

    desk.git("checkout", "--quiet", "FETCH_HEAD")
    desk.commit({"model.py": "mine, too\n"})
    desk.publish("main")
    done = desk.propose({"machinery.py": "one = 3\n"}, body="Second.\n", title="Update to 5d6e7f8")
    assert done.summary == f"Updated https://github.com/{NAME}/pull/1.\n"
    (pull,) = desk.known["pulls"].values()
    assert (pull["title"], after_the_notice(pull["body"])) == ("Update to 5d6e7f8", "Second.\n")
    assert desk.show(f"{BRANCH}:machinery.py") == "one = 3"
    assert desk.git("--git-dir", str(desk.bare), "rev-list", "--count", f"main..{BRANCH}") == "1"
    assert desk.known["issues"] == {}


def test_what_an_app_proposes_waits_for_nobody(desk: Desk) -> None:
    desk.github.add_token("ghs_of_the_app", "flights[bot]", write=True, repository=NAME)
    desk.propose({"machinery.py": "one = 2\n"}, body="First.\n", token="ghs_of_the_app")
    (pull,) = desk.known["pulls"].values()
    assert (pull["user"], pull["body"]) == ("flights[bot]", "First.\n")


def test_a_commit_that_is_ready_is_proposed_as_it_is(desk: Desk) -> None:
    desk.may_open_pulls()
    desk.commit({"params.yaml": "window: 2\n"})
    done = desk.run(patch="", draft="false")
    assert done.summary.startswith("Opened ")
    assert desk.branch() == desk.git("rev-parse", "HEAD")
    assert desk.known["pulls"]["1"]["draft"] is False


def test_without_the_setting_one_issue_has_the_link(desk: Desk) -> None:
    done = desk.propose({"machinery.py": "one = 2\n"}, body="First.\n")
    assert done.code == 0
    said = f"pushed, but `{SETTING}` is off: https://github.com/{NAME}/issues/1 says how to go on"
    assert said in done.summary
    assert f"::notice title=Propose::the branch {BRANCH} is {said}" in done.said
    (issue,) = desk.known["issues"].values()
    assert issue["title"] == "Update to 1a2b3c4"
    assert f"https://github.com/{NAME}/compare/main...{BRANCH}?expand=1" in issue["body"]
    assert SETTING in issue["body"]
    assert issue["body"].endswith("\n---\n\nFirst.\n")
    assert issue["labels"] == ["template", "machinery"]
    assert desk.show(f"{BRANCH}:machinery.py") == "one = 2"

    desk.propose({"machinery.py": "one = 3\n"}, body="Second.\n", title="Update to 5d6e7f8")
    (issue,) = desk.known["issues"].values()
    assert issue["title"] == "Update to 5d6e7f8"
    assert issue["body"].endswith("\n---\n\nSecond.\n")
    assert desk.show(f"{BRANCH}:machinery.py") == "one = 3"

    # Whoever opens the pull request by the link has done what the issue asked for.
    head = {"head": BRANCH, "base": "main", "title": "Update"}
    desk.github.ask("POST", f"/repos/{NAME}/pulls", head, login="ada")
    desk.propose({"machinery.py": "one = 3\n"}, title="Update to 5d6e7f8")
    assert desk.known["issues"]["1"]["state"] == "closed"
    assert desk.known["pulls"]["2"]["title"] == "Update"


def test_an_issue_that_was_closed_is_not_repeated(desk: Desk) -> None:
    desk.propose({"machinery.py": "one = 2\n"})
    desk.github.ask("PATCH", f"/repos/{NAME}/issues/1", {"state": "closed"}, login="ada")
    done = desk.propose({"machinery.py": "one = 2\n"})
    assert f"https://github.com/{NAME}/issues/1 said how to go on, and was closed" in done.summary
    assert done.output.endswith("new=false\n")
    assert len(desk.known["issues"]) == 1
    desk.propose({"machinery.py": "one = 3\n"}, title="Update to 5d6e7f8")
    assert desk.known["issues"]["2"]["state"] == "open"


def test_somebody_elses_issue_is_left_alone(desk: Desk) -> None:
    forged = {"title": "x", "body": f"<!-- proposal: {BRANCH} -->"}  # without the label
    desk.github.ask("POST", f"/repos/{NAME}/issues", forged, login="mallory")
    desk.propose({"machinery.py": "one = 2\n"})
    assert desk.known["issues"]["1"]["title"] == "x"
    assert desk.known["issues"]["2"]["title"] == "Update to 1a2b3c4"


def test_where_issues_are_off_the_summary_has_the_link(desk: Desk) -> None:
    desk.github.fail("GET", "/issues", 410)
    done = desk.propose({"machinery.py": "one = 2\n"})
    assert done.code == 0
    assert f"https://github.com/{NAME}/compare/main...{BRANCH}?expand=1" in done.summary
    assert "the summary of this run says how to go on" in done.summary
    assert done.output == "new=true\n"
    assert desk.propose({"machinery.py": "one = 2\n"}).output == "new=false\n"
    desk.may_open_pulls()
    assert "Opened" in desk.propose({"machinery.py": "one = 2\n"}).summary


def test_changes_of_workflows_become_commands_for_a_laptop(desk: Desk) -> None:
    desk.may_open_pulls()
    title = "Update 'it' $(touch x)"
    files = {".github/workflows/ci.yml": "on: push\n", "machinery.py": "one = 2\n"}
    done = desk.propose(files, title=title)
    assert done.code == 0
    assert "No workflow may change workflows with this token: " in done.summary
    assert done.output.endswith("new=true\n")
    assert desk.propose(files, title=title).output.endswith("new=false\n")
    assert desk.branch() == ""
    assert desk.known["pulls"] == {}
    (issue,) = desk.known["issues"].values()
    assert "secret\n`UPDATE_TOKEN`" in issue["body"]
    commands = issue["body"].split("```sh\n")[1].split("```")[0].splitlines()
    assert f"git switch --create {BRANCH} origin/main" in commands
    assert "cruft update" in commands
    (commit,) = [line for line in commands if line.startswith("git commit")]
    assert shlex.split(commit) == ["git", "commit", "--message", title]

    # A token of a person may; and no issue is left over.
    desk.github.add_token("person", "ada", write=True)
    done = desk.propose(files, token="person")
    assert done.summary == f"Opened https://github.com/{NAME}/pull/2.\n"
    assert desk.known["issues"]["1"]["state"] == "closed"


@pytest.mark.parametrize("amend", [False, True])
def test_what_people_have_committed_to_is_left_alone(desk: Desk, amend: bool) -> None:
    desk.may_open_pulls()
    desk.propose({"machinery.py": "one = 2\n"})
    desk.take(BRANCH)
    if amend:
        desk.git("commit", "--quiet", "--amend", "--message", "Mine now")
    else:
        desk.commit({"machinery.py": "one = 22\n"})
    desk.publish(BRANCH)
    theirs = desk.branch()
    done = desk.propose({"machinery.py": "one = 3\n"}, title="Update to 5d6e7f8")
    assert done.code == 0
    assert f"left alone: somebody has committed to the branch {BRANCH}; once it is" in done.said
    assert desk.branch() == theirs
    assert desk.known["pulls"]["1"]["title"] == "Update to 1a2b3c4"

    # Merged, it has served, and is used again.
    desk.github.state["repositories"][NAME]["pulls"]["1"]["draft"] = False
    desk.github.merge(NAME, 1)
    done = desk.propose({"machinery.py": "one = 3\n"}, title="Update to 5d6e7f8")
    assert done.summary == f"Opened https://github.com/{NAME}/pull/2.\n"
    assert desk.show(f"{BRANCH}:machinery.py") == "one = 3"


def test_a_branch_that_moves_meanwhile_is_left_alone(desk: Desk) -> None:
    desk.may_open_pulls()
    desk.propose({"machinery.py": "one = 2\n"})
    git = desk.folder.parent / "git"
    git.write_text(RACE.format(git=shutil.which("git"), bare=desk.bare, branch=BRANCH))
    git.chmod(0o755)
    done = desk.propose({"machinery.py": "one = 3\n"})
    assert f"left alone: somebody has just pushed to the branch {BRANCH}" in done.said
    assert desk.branch() == desk.git("rev-parse", "FETCH_HEAD")


def test_what_was_closed_is_not_proposed_again(desk: Desk) -> None:
    desk.may_open_pulls()
    desk.propose({"machinery.py": "one = 2\n"})
    desk.github.ask("PATCH", f"/repos/{NAME}/pulls/1", {"state": "closed"}, login="ada")
    done = desk.propose({"machinery.py": "one = 2\n"})
    assert f"left alone: https://github.com/{NAME}/pull/1 proposed the same" in done.said
    assert len(desk.known["pulls"]) == 1
    done = desk.propose({"machinery.py": "one = 3\n"}, title="Update to 5d6e7f8")
    assert done.summary == f"Opened https://github.com/{NAME}/pull/2.\n"


def test_without_drafts_it_is_opened_all_the_same(desk: Desk) -> None:
    desk.may_open_pulls()
    desk.known["drafts"] = False
    done = desk.propose({"machinery.py": "one = 2\n"})
    assert done.summary == f"Opened https://github.com/{NAME}/pull/1.\n"
    assert "::warning title=Propose::The pull request is no draft: Draft pull requests" in done.said
    assert desk.known["pulls"]["1"]["draft"] is False


def test_hostile_words_stay_words(desk: Desk) -> None:
    desk.may_open_pulls()
    title = "`id` $(touch x)\n::error::no\n##[error]no %0A::warning::no -- @ada"
    body = "<!-- x -->\n::error::no\n$(touch x) {branch} \u202e\n" + "long " * 20_000
    done = desk.propose({"machinery.py": "one = 2\n"}, body=body, title=title)
    assert done.said == f"::notice title=Propose::opened https://github.com/{NAME}/pull/1\n"
    (pull,) = desk.known["pulls"].values()
    assert pull["title"] == " ".join(title.split())
    assert after_the_notice(pull["body"]) == body[:60_000]
    assert not list(desk.folder.rglob("x"))


def test_words_of_git_are_no_commands_to_the_runner(desk: Desk) -> None:
    (desk.folder.parent / "changes.patch").write_text(
        "--- a/x\n+++ b/::error::no ##[x]\n@@ -1 +1 @@\n"
    )
    done = desk.run()
    assert done.code == 1
    assert done.said.startswith("::error title=Propose::git apply: error: ")
    assert done.said.count("\n") == 1
    assert "::error::no" not in done.said
    assert "##[" not in done.said
    assert desk.writes() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/pulls", 500, "GitHub: Server Error (HTTP 500)"),
        ("POST", "/pulls", 422, "GitHub: Validation Failed (HTTP 422)"),
        ("GIT", "flights.git.*receive-pack", 403, "git push: "),
    ],
)
def test_what_fails_is_said_in_one_line(
    desk: Desk, method: str, path: str, status: int, sentence: str
) -> None:
    desk.may_open_pulls()
    desk.github.fail(method, path, status)
    done = desk.propose({"machinery.py": "one = 2\n"})
    assert done.code == 1
    assert done.said.startswith(f"::error title=Propose::{sentence}")
    assert done.said.count("\n") == 1
    assert done.summary == ""
    assert json.dumps(desk.known["pulls"]) == "{}"
