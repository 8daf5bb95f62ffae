"""The double of CML does what CML 0.20.6 does; with ``CML_BIN``, the real one has to as well."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import recorded
from conversation import BOT, CML, COMMENTS, REPOSITORY, TOKEN, Conversation
from github_git import git
from github_server import Recorded

PULLS = f"/repos/{REPOSITORY}/pulls"
SITE = f"https://github.com/{REPOSITORY}"
only_the_double = pytest.mark.skipif("CML_BIN" in os.environ, reason="CML itself goes on")


class Runner:
    """A checkout of main in which a workflow runs CML."""

    def __init__(self, github: Conversation) -> None:
        self.github = github
        github.state["repositories"][REPOSITORY]["actions_may_open_pull_requests"] = True
        self.folder = github.scratch / "runner"
        self.environment = {
            **github.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(github.scratch),
            "GIT_CONFIG_NOSYSTEM": "1",
            "ITERATIVE_DO_NOT_TRACK": "1",
            "CI": "true",
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_ACTOR": "ada",
        }
        git(github.scratch, "clone", "--quiet", str(github.bare), "runner")
        for name in ("changed", "deleted"):
            self.write(name, "before")
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "-m", "Two files")
        git(self.folder, "push", "--quiet", "origin", "main")
        git(self.folder, "remote", "set-url", "origin", SITE)
        self.sha = git(self.folder, "rev-parse", "HEAD")
        self.environment |= {"GITHUB_SHA": self.sha, "GITHUB_REF": "refs/heads/main"}

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def run(self, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        self.github.requests.clear()
        done = subprocess.run(
            [CML, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done
        return done

    def comment(self, *more: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Update a comment, with the flags that are always wanted."""
        command = ("comment", "update", "--target=pr/1", "--publish=false", f"--repo={SITE}")
        return self.run(*command, "report.md", *more, code=code)

    @property
    def rest(self) -> list[Recorded]:
        """The requests of the last command, but those of git."""
        return [it for it in self.github.requests if it.method != "GIT"]

    @property
    def asked(self) -> list[str]:
        return [f"{it.method} {it.path}" for it in self.rest]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with Conversation(tmp_path) as github:
        yield Runner(github)
        recorded.check(github.requests)
        assert github.refused == []


def test_it_knows_its_version(runner: Runner) -> None:
    assert runner.run("--version").stdout == "0.20.6\n"


def test_it_updates_the_last_comment_with_the_watermark(runner: Runner) -> None:
    runner.write("report.md", "![a plot](plot.png)\n")
    first = runner.comment("--watermark-title=a_b").stdout
    watermark = f'![](https://cml.dev/watermark.png#{runner.sha} "CML watermark a\\_b")'
    body = {"body": f"![a plot](plot.png)\n\n\n{watermark}"}
    assert runner.asked == ["GET /users/ada", f"GET {COMMENTS}", f"POST {COMMENTS}"]
    assert [it.query for it in runner.rest] == ["", "", ""]
    assert runner.rest[-1].body == body
    assert first.startswith(f"{SITE}/pull/1#issuecomment-")

    runner.github.say("ada", f"> {watermark}\n\nWell.")
    assert runner.comment("--watermark-title=a_b").stdout != first  # it is the last one
    assert runner.asked[-1].startswith(f"PATCH /repos/{REPOSITORY}/issues/comments/")
    assert runner.rest[-1].body == body
    runner.comment("--watermark-title=other")
    assert runner.asked[-1] == f"POST {COMMENTS}"
    assert [login for login, _ in runner.github.comments()] == [BOT, "ada", BOT]


def test_it_never_sees_more_than_thirty_comments(runner: Runner) -> None:
    runner.write("report.md", "Better")
    for number in range(30):
        runner.github.say("ada", f"Remark {number}")
    for _ in range(2):
        runner.comment()
        assert runner.asked == ["GET /users/ada", f"GET {COMMENTS}", f"POST {COMMENTS}"]
    assert len(runner.github.comments()) == 32


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "Resource not accessible by integration"), (500, "Server Error")],
)
def test_it_fails_at_once_where_github_refuses(runner: Runner, status: int, message: str) -> None:
    runner.github.fail("POST", COMMENTS, status)
    runner.write("report.md", "Better")
    done = runner.comment(code=1)
    logged = json.loads(done.stderr)
    assert (logged["level"], logged["message"], logged["status"]) == ("error", message, status)
    assert runner.asked == ["GET /users/ada", f"GET {COMMENTS}", f"POST {COMMENTS}"]
    assert done.stdout == ""


def test_it_logs_all_of_a_comment_that_is_too_long(runner: Runner) -> None:
    runner.write("report.md", "Better " * 10_000)
    said = runner.comment(code=1).stderr
    assert re.match(r'\{"level":"error","message":"[^"]* too long ', said)
    assert said.count("Better") > 9_000  # CML ends without waiting for more than a pipe holds


def test_it_does_without_knowing_who_runs_it(runner: Runner) -> None:
    runner.environment["GITHUB_ACTOR"] = "unknown[bot]"
    runner.write("report.md", "Better")
    runner.comment()
    assert [it.status for it in runner.rest] == [404, 200, 201]


@pytest.mark.parametrize("text", ["report", ""], ids=["not there", "token"])
def test_it_needs_a_file_and_a_token(runner: Runner, text: str) -> None:
    if not text:
        runner.write("report.md", "Better")
        runner.environment["GITHUB_TOKEN"] = ""
    said = json.loads(runner.comment(code=1).stderr)["message"]
    assert said == "token not found" if not text else "report.md" in said


def test_unknown_flags_are_refused(runner: Runner) -> None:
    runner.write("report.md", "Better")
    assert "watermark" in runner.comment("--watermark=x", code=1).stderr
    assert runner.github.comments() == []


@only_the_double
def test_what_nobody_should_want_is_refused(runner: Runner) -> None:
    runner.write("report.md", "Better")
    done = runner.run("comment", "update", "--target=pr/1", f"--repo={SITE}", "report.md", code=3)
    assert "Without --publish=false CML rewrites the Markdown" in done.stderr
    assert "pr/1" not in runner.comment("--target=commit", code=3).stdout
    runner.environment["ITERATIVE_DO_NOT_TRACK"] = ""
    assert "tells its makers about this run" in runner.comment(code=3).stderr
    assert runner.github.comments() == []


def test_it_adds_a_check(runner: Runner) -> None:
    runner.write("report.md", "Better")
    runner.run("check", "create", "--title=Model", "--conclusion=failure", "report.md")
    assert runner.asked[-1] == f"POST /repos/{REPOSITORY}/check-runs"
    sent = runner.rest[-1].body
    assert sent.pop("started_at").endswith("Z")
    assert sent.pop("completed_at").endswith("Z")
    assert sent == {
        "head_sha": runner.sha,
        "conclusion": "failure",
        "status": "completed",
        "name": "Model",
        "output": {"title": "Model", "summary": "Better"},
    }


def test_a_pull_request_has_the_listed_files_that_changed_and_no_deletions(
    runner: Runner,
) -> None:
    runner.write("changed", "after")
    runner.write("new/.hidden", "new")
    runner.write("not-listed", "new")
    (runner.folder / "deleted").unlink()
    done = runner.run("pr", "create", "changed", "deleted", "new", "no-such-file")
    bare, branch = runner.github.bare, f"main-cml-pr-{runner.sha[:8]}"
    assert git(bare, "diff", "--name-status", "main", branch).split() == [
        "M",
        "changed",
        "A",
        "new/.hidden",
    ]
    assert git(bare, "log", "-1", "--format=%an <%ae> %s", branch) == (
        f"Olivaw[bot] <olivaw@iterative.ai> CML PR for {runner.sha[:8]} [skip ci]"
    )
    assert runner.asked == ["GET /users/ada", f"POST {PULLS}"]
    assert runner.rest[-1].body == {
        "head": branch,
        "base": "main",
        "title": f"CML PR for main {runner.sha[:8]}",
        "body": f"\nAutomated commits for {SITE}/commit/{runner.sha} created by CML.\n      ",
    }
    assert done.stdout == f"{SITE}/pull/2\n"


def test_a_pull_request_is_named_as_told(runner: Runner) -> None:
    runner.write("changed", "after")
    named = ("--branch=retrain", "--title=Retrain", "--body=Why", "--message=Retrain on June")
    runner.run("pr", "create", *named, "--user-name=Ada", "--user-email=a@b.c", "changed")
    bare = runner.github.bare
    assert git(bare, "log", "-1", "--format=%an %ae %s", "retrain") == "Ada a@b.c Retrain on June"
    sent = {"head": "retrain", "base": "main", "title": "Retrain", "body": "Why"}
    assert runner.rest[-1].body == sent


def test_on_a_branch_that_exists_nothing_is_committed(runner: Runner) -> None:
    runner.write("changed", "after")
    before = git(runner.github.bare, "rev-parse", "change")
    done = runner.run("pr", "create", "--branch=change", "changed")
    assert done.stdout == f"{SITE}/pull/1\n"
    assert "::warning::Branch change already exists" in done.stderr
    assert runner.asked == ["GET /users/ada", f"GET {PULLS}"]
    assert runner.rest[-1].query == "state=open"
    assert git(runner.github.bare, "rev-parse", "change") == before


def test_for_a_branch_that_exists_a_pull_request_is_opened(runner: Runner) -> None:
    git(runner.github.bare, "branch", "other", "change")
    runner.write("changed", "after")
    done = runner.run("pr", "create", "--branch=other", "changed")
    assert done.stdout == f"{SITE}/pull/2\n"
    assert runner.asked == ["GET /users/ada", f"GET {PULLS}", f"POST {PULLS}"]
    assert git(runner.github.bare, "rev-parse", "other") == runner.github.head


def test_what_it_has_pushed_stays_where_it_may_not_open_a_pull_request(runner: Runner) -> None:
    known = runner.github.state["repositories"][REPOSITORY]
    known["actions_may_open_pull_requests"] = False
    runner.write("changed", "after")
    done = runner.run("pr", "create", "--branch=retrain", "--message=Retrain", "changed", code=1)
    assert "GitHub Actions is not permitted to create or approve pull requests." in done.stderr
    assert (done.stdout, list(known["pulls"])) == ("", ["1"])
    assert git(runner.github.bare, "show", "retrain:changed") == "after"


def test_changes_of_another_commit_than_that_of_the_run_are_not_committed(runner: Runner) -> None:
    runner.write("changed", "between")
    git(runner.folder, "commit", "--quiet", "-a", "-m", "Since the run began")
    runner.write("changed", "after")
    done = runner.run("pr", "create", "--branch=retrain", "changed", code=1)
    assert "would be overwritten by checkout" in done.stderr
    assert "retrain" not in git(runner.github.bare, "branch")


@pytest.mark.parametrize("path", ["changed", "deleted"])
def test_without_a_change_it_prints_undefined(runner: Runner, path: str) -> None:
    if path == "deleted":
        (runner.folder / path).unlink()
    done = runner.run("pr", "create", path)
    assert done.stdout == "undefined\n"
    assert runner.asked == ["GET /users/ada"]
