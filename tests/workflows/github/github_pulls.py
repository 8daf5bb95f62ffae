"""Pull requests: their refs in the repository, what pushes do to them, and merging."""

from pathlib import Path
from typing import Any

from github_git import GitError, git, merge_base, resolve
from github_rest import GitHubError
from github_state import GitHubState, now

NO_DRAFTS = "Draft pull requests are not supported in this repository."


def open_pull(
    github: GitHubState, name: str, login: str, wanted: dict[str, Any], number: int
) -> None:
    """Open a pull request; ``wanted`` has what GitHub's API takes.

    Raises
    ------
    GitHubError
        422, when a branch is missing, brings nothing new, or has a pull request already.
    """
    known = github.state["repositories"][name]
    owner, _, ref = wanted["head"].rpartition(":")
    head = f"{owner}/{name.split('/')[1]}" if owner else name
    base = wanted["base"]
    for field, repository, branch in (("head", head, ref), ("base", name, base)):
        exists = repository in github.state["repositories"]
        if not (exists and resolve(github.path(repository), f"refs/heads/{branch}")):
            raise GitHubError(422, resource="PullRequest", field=field, code="invalid")
    for pull in known["pulls"].values():
        same = (pull["head"]["repository"], pull["head"]["ref"], pull["base"]["ref"])
        if pull["state"] == "open" and same == (head, ref, base):
            owner = head.split("/")[0]
            raise _refused(f"A pull request already exists for {owner}:{ref}.")
    pull = {
        "id": github.new_id(),
        "number": number,
        "title": wanted["title"],
        "body": wanted.get("body"),
        "state": "open",
        "draft": wanted.get("draft", False),
        "user": login,
        "pushed_by": login,
        "labels": [],
        "head": {"repository": head, "ref": ref, "sha": ""},
        "base": {"repository": name, "ref": base, "sha": ""},
        **dict.fromkeys(("mergeable", "merge_commit_sha", "merged_at", "merged_by", "closed_at")),
        **dict.fromkeys(("created_at", "updated_at"), now()),
    }
    _follow(github, name, pull)
    if pull["merged_at"]:
        git(github.path(name), "update-ref", "-d", f"refs/pull/{number}/head")
        raise _refused(f"No commits between {base} and {ref}")
    known["pulls"][str(number)] = pull


def update(github: GitHubState, pushed: str, login: str = "") -> None:
    """Let the open pull requests follow a push to a repository, or to the fork of one."""
    for name, known in github.state["repositories"].items():
        for pull in known["pulls"].values():
            involved = pushed in (name, pull["head"]["repository"])
            if involved and pull["state"] == "open":
                head = pull["head"]["sha"]
                _follow(github, name, pull)
                if pull["head"]["sha"] != head:
                    pull["pushed_by"] = login


def merge(github: GitHubState, name: str, number: int, method: str = "squash") -> str:
    """Merge a pull request: one commit "Title (#N)" with ``squash``, else a merge commit.

    Raises
    ------
    GitHubError
        405, when it is closed, a draft, in conflict with its base, or lacks a required check.
    """
    known = github.state["repositories"][name]
    pull = known["pulls"][str(number)]
    if pull["state"] == "closed" or pull["draft"] or not pull["mergeable"]:
        raise GitHubError(405, "Pull Request is not mergeable")
    passed = {
        name
        for name, conclusion in checks(known, pull["head"]["sha"]).items()
        if conclusion in ("success", "neutral", "skipped")
    }
    if missing := sorted(_required(known) - passed):
        words = f'Required status check "{missing[0]}" is expected.'
        raise GitHubError(405, f"Repository rule violations found\n\n{words}")
    path = github.path(name)
    base, commit = pull["base"]["sha"], pull["merge_commit_sha"]
    if method == "squash":
        title = f"{pull['title']} (#{number})"
        commit = git(path, "commit-tree", f"{commit}^{{tree}}", "-p", base, "-m", title)
    git(path, "update-ref", f"refs/heads/{pull['base']['ref']}", commit, base)
    _close(pull, commit, by=name.split("/")[0])
    update(github, name)
    return str(commit)


def checks(known: dict[str, Any], commit: str) -> dict[str, str]:
    """Return the checks that a pull request shows: without those of runs started by hand."""
    return {
        it["name"]: it["conclusion"]
        for it in known["check_runs"]
        if it["head_sha"] == commit and not it.get("by_hand")
    }


def _required(known: dict[str, Any]) -> set[str]:
    """Return the names of the checks without which rulesets let nothing be merged."""
    active = (it for it in known.get("rulesets", {}).values() if it["enforcement"] == "active")
    rules = (rule for it in active for rule in it["rules"])
    return {
        check["context"]
        for rule in rules
        if rule["type"] == "required_status_checks"
        for check in rule["parameters"]["required_status_checks"]
    }


def _follow(github: GitHubState, name: str, pull: dict[str, Any]) -> None:
    """Bring a pull request up to date with its two branches."""
    path, refs = github.path(name), f"refs/pull/{pull['number']}"
    of_head = github.path(pull["head"]["repository"])
    head = resolve(of_head, f"refs/heads/{pull['head']['ref']}")
    base = resolve(path, f"refs/heads/{pull['base']['ref']}")
    if head is None or base is None:  # a branch was deleted
        return _close(pull)
    if (head, base) == (pull["head"]["sha"], pull["base"]["sha"]):
        return None
    git(path, "fetch", "--quiet", "--no-auto-gc", str(of_head), f"+{head}:{refs}/head")
    pull["head"]["sha"], pull["base"]["sha"], pull["updated_at"] = head, base, now()
    if merge_base(path, head, base) == head:  # all of it has been pushed to the base
        return _close(pull, head, by=name.split("/")[0])
    commit = _merge_commit(path, base, head)
    pull["merge_commit_sha"], pull["mergeable"] = commit, commit is not None
    # Without a merge there is nothing to check out; the old one would be a lie.
    change = [f"{refs}/merge", commit] if commit else ["-d", f"{refs}/merge"]
    git(path, "update-ref", *change)
    return None


def _merge_commit(path: Path, base: str, head: str) -> str | None:
    """Make the commit that merging would make; None when there is a conflict."""
    try:
        tree = git(path, "merge-tree", "--write-tree", base, head)
    except GitError:
        return None
    return git(path, "commit-tree", tree, "-p", base, "-p", head, "-m", f"Merge {head} into {base}")


def _close(pull: dict[str, Any], merged: str | None = None, by: str | None = None) -> None:
    pull["state"] = "closed"
    pull["closed_at"] = pull["updated_at"] = now()
    if merged:
        pull["merge_commit_sha"], pull["merged_at"], pull["merged_by"] = merged, now(), by


def _refused(message: str) -> GitHubError:
    return GitHubError(422, resource="PullRequest", code="custom", message=message)
