"""A GitHub with people, a repository and workflows that run, all on this machine.

    with LocalGitHub(folder) as github:
        github.push(project, "change", run=False)
        pull = github.open_pull_request("change", "Another learning rate")
        assert pull.runs[0].jobs["train"].conclusion == "success"

Everything is in the folder, which can be copied and opened again.
"""

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import runner_machine
from act_run import Run
from commit_files import files_at
from event_runs import EventRuns
from github_events import Event
from github_git import git, resolve
from github_server import FakeGitHub

PEOPLE = {"octo": "Octo", "ada": "Ada Lovelace", "mallory": "Mallory"}
APP, OF_APP = "flights[bot]", "ghs_ofApp"  # as the stand-in for create-github-app-token has it
CML = ("iterative/cml", "v0.20.6", "cml-linux-x64")
DOUBLE = Path(__file__).parent / "doubles" / "cml"


@dataclass
class PullRequest:
    number: int
    runs: list[Run]


@dataclass
class Deployment:
    """What GitHub has noted of a job with an environment; statuses are oldest first."""

    environment: str
    sha: str
    url: str
    statuses: list[dict[str, Any]]

    @property
    def state(self) -> str:
        return str(self.statuses[-1]["state"])


class LocalGitHub:
    """Opened with ``with``; octo owns the repository, ada writes to it, mallory has a fork."""

    repository = "octo/flight-delays"
    fork = "mallory/flight-delays"

    def __init__(self, folder: Path, *, cml: str | None = "double") -> None:
        self.folder = folder
        self.cml = cml
        self.github = FakeGitHub(folder)
        if self.repository not in self.github.state["repositories"]:
            self.github.add_repository(self.repository)
        for login in PEOPLE:
            home = self.fork if login == "mallory" else self.repository
            self.github.add_token(_token(login), login, write=True, repository=home)
        self.github.add_token(OF_APP, APP, write=True, repository=self.repository)
        self._release_cml()
        self.actions = EventRuns(self.github, self.repository)
        self.variables, self.secrets = self.actions.variables, self.actions.secrets

    def __enter__(self) -> Self:
        runner_machine.install(self.folder)
        self.github.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.github.__exit__(*error)

    def copy(self, folder: Path) -> "LocalGitHub":
        """Copy all there is to a new folder; open the copy with ``with``."""
        self.github.save()
        ignored = shutil.ignore_patterns("tls", "tools", "work")
        shutil.copytree(self.folder, folder, symlinks=True, ignore=ignored)
        return type(self)(folder, cml=self.cml)

    @property
    def runs(self) -> list[Run]:
        """All so far, in the order in which they ran."""
        return self.actions.all

    @property
    def pending(self) -> list[Event]:
        """What happened with ``run=False``, and what runs have dispatched."""
        return self.actions.pending

    def run(self, event: Event) -> list[Run]:
        return self.actions.run(event)

    def rerun(self, run: Run, *, failed: bool = False, job: str = "") -> Run:
        """Run again with the same event and commit; with ``failed``, what did not go well.

        With ``job``, that one and those that need it.
        """
        return self.actions.rerun(run, failed=failed, job=job)

    def dispatch(
        self, workflow: str, ref: str = "main", *, login: str = "ada", **inputs: str
    ) -> Run:
        return self.run(self.actions.events.dispatch(workflow, ref, inputs, login))[0]

    def schedule(self, workflow: str) -> Run:
        return self.run(self.actions.events.schedule(workflow, "octo"))[0]

    def clone(self, folder: Path, login: str = "ada") -> None:
        self.git(folder.parent, "clone", "--quiet", self._address(login), str(folder), login=login)
        self.git(folder, "config", "user.name", PEOPLE[login])
        self.git(folder, "config", "user.email", f"{login}@example.org")
        self.git(folder, "config", "commit.gpgsign", "false")

    def git(self, folder: Path, *args: str, login: str = "ada") -> str:
        """Run git with the credentials of a person; a failure shows what it said."""
        credentials = base64.b64encode(f"{login}:{_token(login)}".encode()).decode()
        environment = {
            **self.github.environment,
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.https://github.com/.extraheader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {credentials}",
        }
        done = subprocess.run(
            ["git", *args], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {' '.join(args)}\n{done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def push(
        self,
        folder: Path,
        branch: str = "main",
        *,
        force: bool = False,
        run: bool = True,
        login: str = "ada",
    ) -> list[Run]:
        """Push HEAD of a working folder to a branch; returns the runs that GitHub would start.

        A tag is given in full: ``refs/tags/v1``.
        """
        home = self._home(login)
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        before = resolve(self.github.path(home), ref)
        options = ["--force"] if force else []
        address = self._address(login)
        self.git(folder, "push", "--quiet", *options, address, f"HEAD:{ref}", login=login)
        if resolve(self.github.path(home), ref) == before:
            return []
        make = self.actions.events
        events = [make.push(ref, before, login)] if home == self.repository else []
        for number, pull in self.actions.known["pulls"].items():
            head = (pull["head"]["repository"], pull["head"]["ref"])
            if pull["state"] == "open" and head == (home, branch):
                events += make.pull_request(int(number), "synchronize", login, before)
        return self.actions.happened(events, run=run)

    def open_pull_request(
        self,
        branch: str,
        title: str,
        body: str = "",
        *,
        base: str = "main",
        fork: bool = False,
        draft: bool = False,
        run: bool = True,
        login: str = "ada",
    ) -> PullRequest:
        """Open one for a branch that was pushed; with ``fork`` by mallory, to her fork."""
        login = "mallory" if fork else login
        head = f"{login}:{branch}" if fork else branch
        wish = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        pull = self.github.ask("POST", f"/repos/{self.repository}/pulls", wish, login=login)
        events = self.actions.events.pull_request(pull["number"], "opened", login)
        return PullRequest(pull["number"], self.actions.happened(events, run=run))

    def merge(self, number: int, *, run: bool = True, login: str = "ada") -> list[Run]:
        """Squash and merge; returns what closing starts, and what the push to the base does."""
        ref = f"refs/heads/{self.actions.known['pulls'][str(number)]['base']['ref']}"
        before = resolve(self.actions.git, ref)
        self.github.merge(self.repository, number)
        make = self.actions.events
        closed = make.pull_request(number, "closed", login)
        return self.actions.happened([*closed, make.push(ref, before, login)], run=run)

    def approve_workflows(self, number: int, *, days: int = 0) -> list[Run]:
        """Press *Approve workflows to run* on a pull request, some days after it was opened.

        GitHub keeps what waits for that for 30 days.
        """
        held = self.actions.held.pop(number, [])
        return self.actions.happened(held if days <= 30 else [], run=True)

    def reopen(self, number: int, *, login: str = "ada") -> list[Run]:
        """Close a pull request and open it again, which a person may do to have its checks."""
        for state in ("closed", "open"):
            path = f"/repos/{self.repository}/pulls/{number}"
            self.github.ask("PATCH", path, {"state": state}, login=login)
        events = self.actions.events.pull_request(number, "reopened", login)
        return self.actions.happened(events, run=True)

    def comments(self, number: int) -> list[dict[str, Any]]:
        """Return the comments of an issue or a pull request, oldest first."""
        path = f"/repos/{self.repository}/issues/{number}/comments?per_page=100&page="
        found: list[dict[str, Any]] = []
        page = 1
        while batch := self.github.ask("GET", f"{path}{page}", login="ada"):
            found += batch
            page += 1
        return found

    def deployments(self) -> list[Deployment]:
        """Return what was deployed where, oldest first."""
        return [
            Deployment(
                it["environment"],
                it["sha"],
                it["statuses"][-1].get("environment_url", ""),
                it["statuses"],
            )
            for it in self.actions.known["deployments"]
        ]

    def files(self, branch: str) -> dict[str, bytes]:
        """Return what is on a branch."""
        return files_at(self.actions.git, f"refs/heads/{branch}")

    def log(self, branch: str) -> list[str]:
        """Return the messages of the commits on a branch, newest first."""
        ref = f"refs/heads/{branch}"
        found = git(self.actions.git, "log", "--format=%B%x00", ref).split("\0")
        return [message.strip() for message in found if message.strip()]

    def _home(self, login: str) -> str:
        """Return the repository that a person pushes to."""
        if login == "mallory" and self.fork not in self.github.state["repositories"]:
            self.github.add_repository(self.fork, fork_of=self.repository)
        return self.fork if login == "mallory" else self.repository

    def _address(self, login: str) -> str:
        return f"https://github.com/{self._home(login)}"

    def _release_cml(self) -> None:
        """Let CML be had, or not: as a release like the real one, made of the chosen program."""
        repository, tag, name = CML
        if repository not in self.github.state["repositories"]:
            self.github.add_repository(repository, private=False)
        releases = self.github.state["repositories"][repository]["releases"]
        releases.pop(tag, None)
        if self.cml:
            shutil.copyfile(os.environ.get("CML_BIN") or DOUBLE, self.folder / name)
            releases[tag] = {name: name}


def _token(login: str) -> str:
    return f"gho_of{login.capitalize()}"
