"""What happens on GitHub, as workflows are told of it: events with GitHub's own payloads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from github_git import git, resolve
from github_server import FakeGitHub
from workflow_files import Loader, Workflow

NOTHING = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # of every repository


@dataclass(frozen=True)
class Event:
    """Something that may start workflows."""

    name: str
    payload: dict[str, Any] = field(repr=False)
    sha: str  # the commit that the workflow files are taken from: github.sha
    ref: str  # github.ref
    actor: str
    filtered: str = ""  # the ref that filters of branches and tags look at
    changed: tuple[str, ...] = ()
    message: str = ""
    workflow: str = ""  # the only one it is for; others start by their filters
    trusted: bool = True  # from a fork: a token that cannot write, and no secrets

    @property
    def action(self) -> str:
        return str(self.payload.get("action", ""))

    @property
    def shown_at(self) -> str:
        """The commit that shows the checks: of a pull request its head, not the merge."""
        pull = self.payload.get("pull_request")
        return str(pull["head"]["sha"]) if pull else self.sha

    @property
    def context(self) -> dict[str, str]:
        """The part of GITHUB_... that depends on the event."""
        pull = self.payload.get("pull_request")
        for prefix in ("refs/heads/", "refs/tags/", "refs/pull/"):
            if self.ref.startswith(prefix):
                name = self.ref.removeprefix(prefix)
        return {
            "GITHUB_SHA": self.sha,
            "GITHUB_REF": self.ref,
            "GITHUB_REF_NAME": name,
            "GITHUB_REF_TYPE": "tag" if self.ref.startswith("refs/tags/") else "branch",
            "GITHUB_HEAD_REF": pull["head"]["ref"] if pull else "",
            "GITHUB_BASE_REF": pull["base"]["ref"] if pull else "",
            "GITHUB_ACTOR": self.actor,
            "GITHUB_TRIGGERING_ACTOR": self.actor,
        }


class Events:
    """Makes the events of one repository."""

    def __init__(self, github: FakeGitHub, repository: str) -> None:
        self.github = github
        self.repository = repository

    @property
    def git(self) -> Path:
        return self.github.path(self.repository)

    def push(self, ref: str, before: str | None, login: str) -> Event:
        after = git(self.git, "rev-parse", ref)
        default = self._default_branch
        since = before or (None if ref == default else self._merge_base(default, after))
        commits = git(self.git, "rev-list", "--reverse", after, *([f"^{since}"] if since else []))
        forced = before is not None and self._merge_base(before, after) != before
        payload = {
            "ref": ref,
            "before": before or NOTHING,
            "after": after,
            "created": before is None,
            "deleted": False,
            "forced": forced,
            "base_ref": None,
            "compare": f"https://github.com/{self.repository}/compare/{before}...{after}",
            "commits": [self._commit(commit, login) for commit in commits.split()[-20:]],
            "head_commit": self._commit(after, login),
            "pusher": {"name": login, "email": f"{login}@example.org"},
            **self._always(login),
        }
        return Event(
            "push",
            payload,
            after,
            ref,
            login,
            filtered=ref,
            changed=self._changed(since or EMPTY_TREE, after),
            message=self._message(after),
        )

    def pull_request(
        self, number: int, action: str, login: str, before: str | None = None
    ) -> list[Event]:
        """Return the event, and none where there is a conflict: GitHub has nothing to run then."""
        pull = self.github.ask("GET", f"/repos/{self.repository}/pulls/{number}", login=login)
        merge = resolve(self.git, f"refs/pull/{number}/merge")
        if merge is None:
            return []
        head, base = pull["head"]["sha"], pull["base"]["sha"]
        moved = {"before": before, "after": head} if before else {}
        payload = {"action": action, "number": number, "pull_request": pull, **moved}
        event = Event(
            "pull_request",
            payload | self._always(login),
            merge,
            f"refs/pull/{number}/merge",
            login,
            filtered=f"refs/heads/{pull['base']['ref']}",
            changed=self._changed(f"{base}...{head}"),
            message=self._message(head),
            trusted=pull["head"]["repo"]["full_name"] == self.repository,
        )
        return [event]

    def dispatch(self, workflow: str, ref: str, inputs: dict[str, str], login: str) -> Event:
        """Return the event of starting a workflow by hand.

        Raises
        ------
        ValueError
            Where GitHub would refuse: no such trigger, an unknown or missing input.
        """
        ref = f"refs/heads/{ref.removeprefix('refs/heads/')}"
        sha = git(self.git, "rev-parse", ref)
        known = (self._trigger(workflow, sha, "workflow_dispatch") or {}).get("inputs") or {}
        if unknown := sorted(set(inputs) - set(known)):
            raise ValueError(f"{workflow}: Unexpected inputs provided: {unknown}")
        given = {}
        for name, about in known.items():
            about = about or {}
            value = inputs.get(name, about.get("default", ""))
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
            if about.get("required") and not given[name]:
                raise ValueError(f"{workflow}: Required input {name!r} not provided")
            if about.get("type") == "choice" and given[name] not in map(str, about["options"]):
                raise ValueError(f"{workflow}: {name!r} cannot be {given[name]!r}")
        path = f".github/workflows/{workflow}"
        payload = {"inputs": given or None, "ref": ref, "workflow": path, **self._always(login)}
        return Event("workflow_dispatch", payload, sha, ref, login, workflow=workflow)

    def schedule(self, workflow: str, login: str) -> Event:
        """Return the event of the first schedule of a workflow.

        Raises
        ------
        ValueError
            When it has none on the default branch.
        """
        ref = self._default_branch
        sha = git(self.git, "rev-parse", ref)
        crons = self._trigger(workflow, sha, "schedule")
        # Not what other events tell of the repository and its owner: GitHub says nothing there.
        payload = {"schedule": crons[0]["cron"], "workflow": f".github/workflows/{workflow}"}
        return Event("schedule", payload, sha, ref, login, workflow=workflow)

    @property
    def _default_branch(self) -> str:
        return f"refs/heads/{self.github.state['repositories'][self.repository]['default_branch']}"

    def _trigger(self, workflow: str, sha: str, name: str) -> Any:
        text = git(self.git, "show", f"{sha}:.github/workflows/{workflow}")
        triggers = Workflow(workflow, yaml.load(text, Loader)).triggers
        if name not in triggers:
            raise ValueError(f"{workflow} has no {name!r} trigger at {sha}")
        return triggers[name]

    def _always(self, login: str) -> dict[str, Any]:
        ask = self.github.ask
        return {
            "repository": ask("GET", f"/repos/{self.repository}", login=login),
            "sender": ask("GET", f"/users/{login}", login=login),
        }

    def _commit(self, commit: str, login: str) -> dict[str, Any]:
        form = "%an%x00%ae%x00%cI%x00%T%x00%B"
        name, email, time, tree, message = git(
            self.git, "log", "-1", f"--format={form}", commit
        ).split("\0")
        author = {"name": name, "email": email, "username": login}
        listed = git(self.git, "show", "--format=", "--name-status", "--no-renames", commit)
        files = [line.split("\t", 1) for line in listed.splitlines()]
        kinds = {"added": "A", "removed": "D", "modified": "M"}
        return {
            "id": commit,
            "tree_id": tree,
            "message": message.rstrip("\n"),
            "timestamp": time,
            "url": f"https://github.com/{self.repository}/commit/{commit}",
            "distinct": True,
            "author": author,
            "committer": author,
            **{kind: [path for mark, path in files if mark == it] for kind, it in kinds.items()},
        }

    def _message(self, commit: str) -> str:
        return git(self.git, "log", "-1", "--format=%B", commit).strip()

    def _changed(self, *between: str) -> tuple[str, ...]:
        return tuple(
            git(self.git, "diff", "--name-only", "--no-renames", *between, "--").splitlines()
        )

    def _merge_base(self, one: str, other: str) -> str | None:
        found = resolve(self.git, one) and resolve(self.git, other)
        return git(self.git, "merge-base", one, other) if found else None
