"""What drift.yml leaves on the local GitHub, for tests to look at."""

import json
from typing import Any

import github_pulls
from act_run import Run
from github_git import git
from hosted import Hosted

RECORD = "drift.jsonl"


def conclusions(run: Run) -> dict[str, str]:
    return {name: job.conclusion for name, job in run.jobs.items()}


def all_of(conclusion: str, *jobs: str) -> dict[str, str]:
    return dict.fromkeys(jobs, conclusion)


def found(run: Run) -> dict[str, Any]:
    """Return the ``drift.json`` of a run."""
    told: dict[str, Any] = json.loads((run.artifacts["drift"] / "drift.json").read_text())
    return told


def store(hosted: Hosted) -> str:
    """Return the commit that the branch of the store is."""
    return git(hosted.github.actions.git, "rev-parse", "mlops-store")


def history(hosted: Hosted) -> list[dict[str, Any]]:
    """Return what the store has on record of earlier checks."""
    lines = hosted.github.files("mlops-store").get(RECORD, b"").splitlines()
    return [json.loads(line) for line in lines]


def pulls(hosted: Hosted) -> list[dict[str, Any]]:
    """Return all pull requests, oldest first."""
    return list(hosted.github.actions.known["pulls"].values())


def issues(hosted: Hosted) -> list[dict[str, Any]]:
    """Return all issues, oldest first."""
    return list(hosted.github.actions.known["issues"].values())


def changed(hosted: Hosted, branch: str) -> list[str]:
    """Return the paths that a branch changes of main."""
    listed = git(hosted.github.actions.git, "diff", "--name-only", f"main...{branch}")
    return listed.splitlines()


def checks(hosted: Hosted, commit: str) -> dict[str, str]:
    """Return the checks that GitHub shows on a pull request with this head."""
    return github_pulls.checks(hosted.github.actions.known, commit)
