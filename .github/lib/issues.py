"""One issue for each matter: opened once, brought up to date, closed when the matter is over.

It is found by its first label, which strangers cannot set, and a mark in its first line.
"""

import os
from typing import Any
from urllib.parse import urlencode

from github import api

LONGEST = 60_000  # characters; GitHub refuses more than 65,536
MARK, OVER = "<!-- {} -->", "<!-- over: {} -->"


def write(matter: str, title: str, text: str, labels: list[str]) -> tuple[dict[str, Any], str]:
    """Open the issue, or bring it up to date.

    Returns the issue, and what was done: ``opened``, ``changed``, or the ``same``, but for the run
    it names. Empty for one that people have closed: it is left alone until its title changes.
    """
    body = f"{MARK.format(matter)}\n{text}"[:LONGEST]
    known = find(matter, labels[0])
    if known and known["state"] == "open":
        same = (title, _lines(body)) == (known["title"], _lines(known["body"]))
        now = dict(api("PATCH", _path(known), title=title, body=body))
        return now, "same" if same else "changed"
    if known and known["title"] == title:
        return known, ""
    return dict(api("POST", _path(), title=title, body=body, labels=labels)), "opened"


def _lines(body: str) -> list[str]:
    """Return the lines that could be news, and not which run has written them."""
    return [line for line in body.splitlines() if "/actions/runs/" not in line]


def close(matter: str, label: str, why: str, reason: str = "completed") -> dict[str, Any] | None:
    """Close the issue, if it is open; returns it. The next time, a new one is opened."""
    known = find(matter, label)
    if known is None or known["state"] == "closed":
        return None
    body = known["body"].replace(MARK.format(matter), OVER.format(matter), 1)
    api("POST", f"{_path(known)}/comments", body=why)
    api("PATCH", _path(known), state="closed", state_reason=reason, body=body)
    return known


def find(matter: str, label: str) -> dict[str, Any] | None:
    """Return the newest issue about the matter, open or closed by people."""
    mark = MARK.format(matter)
    return next((it for it in listed(label, "all") if it["body"].startswith(mark)), None)


def listed(label: str, state: str) -> list[dict[str, Any]]:
    """Return the newest hundred issues that have the label."""
    asked = {"state": state, "labels": label, "per_page": 100}
    found = api("GET", f"{_path()}?{urlencode(asked)}")
    return [issue | {"body": issue["body"] or ""} for issue in found if "pull_request" not in issue]


def _path(issue: dict[str, Any] | None = None) -> str:
    path = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    return f"{path}/{issue['number']}" if issue else path
