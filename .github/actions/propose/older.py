"""What the proposal takes the place of: proposals of ours on other branches with its prefix."""

import re
from typing import Any
from urllib.parse import urlencode

import branch
import issues
from github import api
from proposal import Proposal


def close(it: Proposal, new: str) -> None:
    """Close the open pull requests and issues, with a link to the new one; delete their branches.

    A branch stays where people have committed to it. What they have opened for their own commits,
    or taken the label off, is theirs and stays open.
    """
    why = f"Superseded by {new}."
    for pull in _pulls(it):
        theirs = branch.has_work_of_people(it, pull["head"]["sha"])
        if theirs and pull["user"]["type"] != "Bot":
            continue
        kept = " Its branch is kept, as somebody has committed to it." if theirs else ""
        api("POST", f"{it.api}/issues/{pull['number']}/comments", body=why + kept)
        # Under another title: one that people have closed is not proposed again, by its title.
        title = f"{pull['title']} (superseded)"
        api("PATCH", f"{it.api}/pulls/{pull['number']}", state="closed", title=title)
        if not theirs:
            branch.delete(it, pull["head"]["ref"], pull["head"]["sha"])
    for name in _branches_in_issues(it):
        issues.close(f"proposal: {name}", it.labels[0], why, "not_planned")
        commit = branch.commit_of(it, name)
        if commit and not _is_open(it, name) and not branch.has_work_of_people(it, commit):
            branch.delete(it, name, commit)


def _pulls(it: Proposal) -> list[dict[str, Any]]:
    asked = {"state": "open", "base": it.base, "per_page": 100}
    return [
        pull
        for pull in api("GET", f"{it.api}/pulls?{urlencode(asked)}")
        if pull["head"]["repo"]
        and pull["head"]["repo"]["full_name"] == it.repository
        and _is_other(it, pull["head"]["ref"])
        and it.labels[0] in {label["name"] for label in pull["labels"]}
    ]


def _branches_in_issues(it: Proposal) -> list[str]:
    marks = (re.match(r"<!-- proposal: (\S+) -->", x["body"]) for x in _issues(it))
    return [mark[1] for mark in marks if mark and _is_other(it, mark[1])]


def _issues(it: Proposal) -> list[dict[str, Any]]:
    return issues.listed(it.labels[0], "open")


def _is_other(it: Proposal, name: str) -> bool:
    return name.startswith(it.supersedes) and name != it.branch


def _is_open(it: Proposal, name: str) -> bool:
    """Return whether somebody asks for review of a branch."""
    asked = {"state": "open", "head": f"{it.repository.split('/')[0]}:{name}"}
    return bool(api("GET", f"{it.api}/pulls?{urlencode(asked)}"))
