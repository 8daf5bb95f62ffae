"""A pull request on the local GitHub, and the step that comments on it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import github_pulls
from github_git import git
from github_server import FakeGitHub
from loopback_proxy import Answer, Request
from projects import ROOT

REPOSITORY = "octo/flight-delays"
COMMENTS = f"/repos/{REPOSITORY}/issues/1/comments"
TOKEN = "ghs_ofTheWorkflow"  # not a secret: only the local GitHub knows it
BOT = "github-actions[bot]"
# With CML_BIN, the tests try the real one.
CML = os.environ.get("CML_BIN") or str(Path(__file__).parent / "github" / "doubles" / "cml")
ACTION = ROOT / ".github/actions/comment"


class Conversation(FakeGitHub):
    """A repository with one pull request, number 1, whose head is ``head``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "github")
        self.scratch = folder
        self.add_token(TOKEN, BOT, write=True, repository=REPOSITORY, is_actions=True)
        self.bare = self.add_repository(REPOSITORY)
        tree = git(self.bare, "hash-object", "-w", "-t", "tree", os.devnull)
        first = git(self.bare, "commit-tree", "-m", "Nothing yet", tree)
        git(self.bare, "update-ref", "refs/heads/main", first)
        git(self.bare, "update-ref", "refs/heads/change", first)
        self.push("The first change")
        pull = {"head": "change", "base": "main", "title": "A change"}
        self.ask("POST", f"/repos/{REPOSITORY}/pulls", pull, login="ada")
        self.meanwhile: Callable[[], object] | None = None

    @property
    def head(self) -> str:
        return git(self.bare, "rev-parse", "refs/heads/change")

    def push(self, message: str = "Another change") -> str:
        """Push a commit to the branch of the pull request; returns it."""
        commit = git(self.bare, "commit-tree", "change^{tree}", "-p", "change", "-m", message)
        git(self.bare, "update-ref", "refs/heads/change", commit)
        github_pulls.update(self, REPOSITORY)
        return commit

    def release_cml(self, program: str = CML) -> Path:
        """Offer a program as the release of CML."""
        self.add_repository("iterative/cml", private=False)
        file = self.folder / "cml-linux-x64"
        shutil.copyfile(program, file)
        releases = self.state["repositories"]["iterative/cml"]["releases"]
        releases["v0.20.6"] = {file.name: file.name}
        return file

    def record_cml(self, digest: str) -> None:
        """Let the branch of the store say which file of CML may run."""
        record = self.scratch / "cml.sha256"
        record.write_text(f"{digest}  v0.20.6/cml-linux-x64\n")
        blob = git(self.bare, "hash-object", "-w", str(record))
        git(self.bare, "update-index", "--add", "--cacheinfo", f"100644,{blob},{record.name}")
        commit = git(self.bare, "commit-tree", "-m", "Store", git(self.bare, "write-tree"))
        git(self.bare, "update-ref", "refs/heads/mlops-store", commit)

    def say(self, login: str, body: str) -> None:
        """Comment as a person does on the site."""
        self.ask("POST", COMMENTS, {"body": body}, login=login)

    def comments(self) -> list[tuple[str, str]]:
        """Return who said what."""
        known = self.state["repositories"][REPOSITORY]["comments"].values()
        return [(it["user"], it["body"]) for it in known]

    def by_bot(self) -> list[str]:
        return [body for login, body in self.comments() if login == BOT]

    def asked(self) -> list[str]:
        """Return the requests since this was last asked, as ``METHOD path?query``."""
        asked = [f"{it.method} {it.path}?{it.query}".rstrip("?") for it in self.requests]
        self.requests.clear()
        return asked

    def answer(self, request: Request) -> Answer:
        answer = super().answer(request)
        if self.meanwhile and request.path == COMMENTS:
            self.meanwhile()
        return answer


class Step:
    """The step of a workflow that comments: what it is given, and what it leaves behind."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.folder = conversation.scratch / "runner"
        self.folder.mkdir()
        self.report = self.folder / "report.md"
        self.token = TOKEN
        self.cml: str | None = CML

    def run(self, report: str | None = None, *, fails: bool = False, **changed: str) -> str:
        """Run the step about the head of the pull request, or ``SHA``; returns its log."""
        if report is not None:
            self.report.write_text(report, encoding="utf-8")
        for name in ("summary", "output"):
            (self.folder / name).write_text("")
        done = subprocess.run(
            [sys.executable, "-B", str(ACTION / "comment.py")],
            cwd=self.folder,
            env=self.environment | changed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert self.token not in done.stdout + done.stderr
        assert not done.stderr, done.stderr
        assert done.returncode == int(fails), done.stdout
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.conversation.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ACTION.parents[1] / "lib"),  # as action.yml says
            "HOME": str(self.folder),
            "RUNNER_TEMP": str(self.folder),
            "DO_NOT_TRACK": "1",  # as every workflow says; gh would send statistics, too
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_ACTOR": "ada",
            "GITHUB_RUN_ID": "77",
            "GITHUB_SHA": "0" * 40,  # for a pull request, that of a merge: not what was trained
            "GITHUB_EVENT_NAME": "pull_request",
            "GH_TOKEN": self.token,
            "NUMBER": "1",
            "SHA": self.conversation.head,
            "REPORT": str(self.report),
            **({"CML_BIN": self.cml} if self.cml else {}),
        }

    @property
    def url(self) -> str:
        """What the step put into its output."""
        found = re.fullmatch(r"url=(.*)\n", (self.folder / "output").read_text())
        return found[1] if found else ""


def comment_text(report: str, sha: str) -> str:
    """Return the comment that a report should become."""
    return f'{report}\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark model report")'
