"""The issue that says how to go on where GitHub lets a workflow not push or not ask for review."""

import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from proposal import LONGEST, Proposal
from remote import SITE, GitHubError, api

SETTING = "Settings > Actions > General > Allow GitHub Actions to create and approve pull requests"

MAY_NOT_OPEN = """\
The branch [`{branch}`]({site}/{repository}/tree/{branch_link}) waits for review, but a workflow may
not open its pull request: the setting **{setting}** is off.

**[Open the pull request]({site}/{repository}/compare/{base_link}...{branch_link}?expand=1)**; or
turn the setting on, and the workflow opens it the next time.
"""
MAY_NOT_PUSH = """\
These changes are for files in `.github/workflows`, too, and no workflow may change those with the
token that GitHub gives it. Nothing is pushed. By hand, in a clone of this repository:

```sh
git fetch origin
git switch --create {branch} origin/{base}
{by_hand}
git add --all
git commit --message {title}
git push --set-upstream origin {branch}
```

To let it happen by itself, make a
[fine-grained token]({site}/settings/personal-access-tokens/new) for this repository that may read
and write *contents*, *issues*, *pull requests* and *workflows*, and save it as the secret
`{secret}` (Settings > Secrets and variables > Actions).
"""


def write(it: Proposal, text: str) -> str:
    """Say in the one issue about the branch how to go on; returns where that is said."""
    text = _fill(it, text)
    body = f"{_marker(it)}\n{text}\n---\n\n{it.body}"[:LONGEST]
    try:
        known = _find(it)
        if known and known["state"] == "open":
            api("PATCH", f"{it.api}/issues/{known['number']}", title=it.title, body=body)
        elif known and known["title"] == it.title:
            return f"{known['html_url']} said how to go on, and was closed"
        else:
            known = api("POST", f"{it.api}/issues", title=it.title, body=body, labels=it.labels)
    except GitHubError as error:
        if error.status != 410:  # issues are turned off
            raise
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
            summary.write(f"{text}\n")
        return "the summary of this run says how to go on"
    return f"{known['html_url']} says how to go on"


def close(it: Proposal) -> None:
    """Close the issue, if there is one: the pull request is there now."""
    try:
        known = _find(it)
    except GitHubError as error:
        if error.status != 410:
            raise
        return
    if known and known["state"] == "open":
        path = f"{it.api}/issues/{known['number']}"
        api("PATCH", path, state="closed", state_reason="completed")


def _find(it: Proposal) -> dict[str, Any] | None:
    """Return the newest issue about the branch. Strangers cannot set the label it is found by."""
    asked = {"state": "all", "labels": it.labels[0], "per_page": 100}
    for issue in api("GET", f"{it.api}/issues?{urlencode(asked)}"):
        if (issue["body"] or "").startswith(_marker(it)) and "pull_request" not in issue:
            return dict(issue)
    return None


def _marker(it: Proposal) -> str:
    return f"<!-- proposal: {it.branch} -->"


def _fill(it: Proposal, text: str) -> str:
    """Put names into a text; what a person will copy into a shell is quoted for it."""
    return text.format(
        site=SITE,
        repository=it.repository,
        setting=SETTING,
        by_hand=it.by_hand.strip(),
        secret=it.secret,
        title=shlex.quote(it.title),
        base=shlex.quote(it.base),
        branch=shlex.quote(it.branch),
        base_link=quote(it.base),
        branch_link=quote(it.branch),
    )
