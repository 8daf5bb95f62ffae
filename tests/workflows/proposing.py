"""A checkout of a repository on the local GitHub, and the action that proposes changes to it."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import github_pulls
import yaml
from github_server import FakeGitHub
from projects import ROOT

ACTION = ROOT / ".github" / "actions" / "propose"
NAME = "octo/flights"
BRANCH = "template-update"
TOKEN = "ghs_of_the_run"
BOT = "41898282+github-actions[bot]@users.noreply.github.com"
SETTING = "Settings > Actions > General > Allow GitHub Actions to create and approve pull requests"
# With CML_BIN, the tests try the real one.
CML = os.environ.get("CML_BIN") or str(Path(__file__).parent / "github" / "doubles" / "cml")
INPUTS = {
    "branch": BRANCH,
    "base": "main",
    "title": "Update to 1a2b3c4",
    "patch": "../changes.patch",
    "body": "../body.md",
    "labels": "template, machinery",
    "by-hand": "cruft update",
    "secret": "UPDATE_TOKEN",
    "token": TOKEN,
}


def after_the_notice(body: str) -> str:
    """Return the text of a pull request after the notice that its checks wait."""
    notice, _, text = body.partition("\n\n")
    assert notice.startswith("> [!IMPORTANT]\n> **Its checks wait for you.** GitHub holds")
    return text


@dataclass
class Done:
    code: int
    said: str
    summary: str
    output: str


class Desk:
    """A checkout of a repository on the local GitHub, and the action on its files."""

    def __init__(self, github: FakeGitHub, folder: Path) -> None:
        self.github = github
        self.folder = folder
        self.cml: str | None = CML
        self.bare = github.add_repository(NAME)
        github.add_token(TOKEN, "github-actions[bot]", write=True, repository=NAME, is_actions=True)
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit({"machinery.py": "one = 1\n", "model.py": "mine\n"})
        self.publish("main")

    def git(self, *arguments: str, email: str = "ada@example.org") -> str:
        who = {f"GIT_{role}_NAME": "Ada" for role in ("AUTHOR", "COMMITTER")}
        who |= {f"GIT_{role}_EMAIL": email for role in ("AUTHOR", "COMMITTER")}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=os.environ | who,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stderr}"
        return done.stdout.strip()

    def publish(self, branch: str) -> None:
        """Push as somebody whom nothing is refused."""
        self.git("push", "--quiet", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        github_pulls.update(self.github, NAME)

    def take(self, branch: str) -> None:
        """Check out what GitHub has of a branch."""
        self.git("fetch", "--quiet", str(self.bare), branch)
        self.git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")

    def write(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(content)
        self.git("add", "--all")

    def commit(self, files: dict[str, str]) -> None:
        self.write(files)
        self.git("commit", "--quiet", "--message", "By Ada")

    def propose(self, files: dict[str, str], body: str = "What changes.\n", **given: str) -> Done:
        """Run the action in a fresh checkout of main, for a patch that writes these files."""
        self.take("main")
        self.write(files)
        self.git("diff", "--cached", "--binary", "--output=../changes.patch")
        self.git("reset", "--quiet", "--hard")
        return self.run(body, **given)

    def run(self, text: str = "What changes.\n", **given: str) -> Done:
        """Run the step of action.yml, with its environment, as GitHub fills it in."""
        (self.folder.parent / "body.md").write_text(text)
        action = yaml.safe_load((ACTION / "action.yml").read_text())
        (step,) = action["runs"]["steps"]
        inputs = {name: it.get("default", "") for name, it in action["inputs"].items()}
        known = {f"inputs.{name}": it for name, it in (inputs | INPUTS | given).items()}
        known["github.server_url"] = "https://github.com"
        of_the_job = known["inputs.token"] == TOKEN
        known["inputs.token == github.token"] = str(of_the_job).lower()
        environment = {
            name: re.sub(r"\$\{\{ (.+?) \}\}", lambda found: known[found[1]], value)
            for name, value in step["env"].items()
        }
        for name in ("summary", "output"):
            (self.folder.parent / name).write_text("")
        runner = {
            "PATH": f"{self.folder.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder.parent),
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_ACTOR": "octo",
            "GITHUB_RUN_ID": "77",
            "GITHUB_EVENT_NAME": "schedule",
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_STEP_SUMMARY": str(self.folder.parent / "summary"),
            "GITHUB_OUTPUT": str(self.folder.parent / "output"),
            "RUNNER_TEMP": str(self.folder.parent),
            **({"CML_BIN": self.cml} if self.cml else {}),
            "DO_NOT_TRACK": "1",  # as in every workflow; gh would call somebody else
        }
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env=runner | self.github.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        summary, output = ((self.folder.parent / it).read_text() for it in ("summary", "output"))
        assert TOKEN not in said + summary + (self.folder / ".git" / "config").read_text()
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, said, summary, output)

    @property
    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = self.github.state["repositories"][NAME]
        return known

    def may_open_pulls(self, yes: bool = True) -> None:
        self.known["actions_may_open_pull_requests"] = yes

    def branch(self) -> str:
        """Return the commit of the branch, or nothing."""
        listed = self.git("ls-remote", str(self.bare), f"refs/heads/{BRANCH}")
        return listed.split("\t")[0]

    def show(self, revision: str, form: str = "") -> str:
        return self.git("--git-dir", str(self.bare), "show", f"--format={form}", revision)

    def writes(self) -> list[str]:
        """List what was asked of GitHub other than to tell something."""
        return [
            f"{it.method} {it.path}"
            for it in self.github.requests
            if it.method != "GET" and it.query != "upload-pack"
        ]
