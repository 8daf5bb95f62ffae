"""What a repository on the local GitHub has been through; lists start with the newest, as there."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import bare_repository
import saved_registry
from bare_repository import Change, Commit, File
from saved_registry import Version

STORE = "mlops-store"


class LocalGitHub(Protocol):
    """What is used of the one in tests/workflows/github."""

    repository: str
    github: Any  # its `state`, and the `path` of a bare repository
    runs: list[Any]


@dataclass(frozen=True)
class Comment:
    author: str
    when: datetime
    body: str
    edited: bool = False


@dataclass(frozen=True)
class Check:
    name: str
    conclusion: str
    run: Any  # None for one that no workflow made


@dataclass(frozen=True)
class Issue:
    number: int
    title: str
    state: str
    opened: Comment
    labels: list[str]
    comments: list[Comment]


@dataclass(frozen=True)
class Pull(Issue):
    """A pull request, whose state may also be draft or merged."""

    head: str
    base: str
    commits: list[Commit]
    changes: list[Change]
    checks: list[Check]
    merged: Comment | None  # who did it, and when
    merge_commit: str

    @property
    def timeline(self) -> list[Commit | Comment]:
        """Commits and comments, oldest first."""
        return sorted([*self.commits[::-1], *self.comments], key=lambda entry: entry.when)

    @property
    def annotations(self) -> list[Any]:
        """What the runs that count have remarked."""
        runs = {check.run.id: check.run for check in self.checks if check.run}
        return [annotation for run in runs.values() for annotation in run.annotations]

    def concluded(self, *conclusions: str) -> int:
        return sum(check.conclusion in conclusions for check in self.checks)


@dataclass(frozen=True)
class Deployment:
    """What GitHub noted of a job that deploys; ``url`` is where it serves, if that was said."""

    environment: str
    state: str
    sha: str
    creator: str
    when: datetime
    run: str
    url: str


@dataclass(frozen=True)
class Story:
    repository: str
    branch: str
    pulls: list[Pull]
    issues: list[Issue]
    runs: list[Any]
    deployments: list[Deployment]
    commits: list[Commit]
    store: Commit | None
    stored: list[File]
    versions: list[Version]

    def branch_of(self, run: Any) -> str:
        """Return the branch that a run is about, also when it ran on what merging would give."""
        for pull in self.pulls:
            if run.ref == f"refs/pull/{pull.number}/merge":
                return pull.head
        return str(run.ref).removeprefix("refs/heads/")


def read(local: LocalGitHub) -> Story:
    """Collect what happened so far."""
    known = local.github.state["repositories"][local.repository]
    path = local.github.path(local.repository)
    stored = bare_repository.files(path, STORE)
    databases = [file for file in stored if file.path.endswith("mlflow.db")]
    return Story(
        repository=local.repository,
        branch=known["default_branch"],
        pulls=[_pull(local, path, known, it) for it in _newest(known["pulls"])],
        issues=[Issue(**_issue(known, it)) for it in _newest(known["issues"])],
        runs=local.runs[::-1],
        deployments=[_deployment(it) for it in known["deployments"][::-1]],
        commits=bare_repository.commits(path, known["default_branch"]),
        store=next(iter(bare_repository.commits(path, STORE)), None),
        stored=stored,
        versions=[
            version
            for database in databases
            for version in saved_registry.versions(bare_repository.content(path, database))
        ],
    )


def _newest(numbered: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(numbered.values(), key=lambda it: -it["number"])


def _issue(known: dict[str, Any], it: dict[str, Any]) -> dict[str, Any]:
    """Return what pull requests have in common with issues."""
    return {
        "number": it["number"],
        "title": it["title"],
        "state": it["state"],
        "opened": Comment(it["user"], _time(it["created_at"]), it["body"] or ""),
        "labels": it["labels"],
        "comments": [
            Comment(
                found["user"],
                _time(found["created_at"]),
                found["body"],
                found["updated_at"] != found["created_at"],
            )
            for found in known["comments"].values()
            if found["issue"] == it["number"]
        ],
    }


def _pull(local: LocalGitHub, path: Path, known: dict[str, Any], it: dict[str, Any]) -> Pull:
    issue = _issue(known, it)
    head, base = it["head"], it["base"]
    fork = head["repository"] != local.repository
    merged = None
    if it["merged_at"]:
        issue["state"] = "merged"
        merged = Comment(it["merged_by"], _time(it["merged_at"]), "")
    elif it["draft"] and it["state"] == "open":
        issue["state"] = "draft"
    return Pull(
        **issue,
        head=f"{head['repository'].split('/')[0]}:{head['ref']}" if fork else head["ref"],
        base=base["ref"],
        commits=bare_repository.commits(path, f"{base['sha']}..{head['sha']}"),
        changes=bare_repository.changes(path, f"{base['sha']}...{head['sha']}"),
        checks=_checks(local, known, head["sha"]),
        merged=merged,
        merge_commit=it["merge_commit_sha"] or "",
    )


def _deployment(it: dict[str, Any]) -> Deployment:
    last = it["statuses"][-1] if it["statuses"] else {}
    return Deployment(
        environment=it["environment"],
        state=last.get("state", "pending"),
        sha=it["sha"],
        creator=it["user"],
        when=_time(last.get("created_at", it["created_at"])),
        run=last.get("log_url", "").rpartition("/")[2],
        url=last.get("environment_url", ""),
    )


def _checks(local: LocalGitHub, known: dict[str, Any], sha: str) -> list[Check]:
    """Return the checks of a commit; of several attempts or runs on it, the last one counts."""
    runs = {str(run.id): run for run in local.runs}
    last = {}
    for it in known["check_runs"]:
        if it["head_sha"] == sha:
            run = runs.get(it["external_id"])
            source = (run.workflow, run.event) if run else ()
            last[source, it["name"]] = Check(it["name"], it["conclusion"] or "", run)
    return list(last.values())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
