"""The issue that says how to go on where GitHub lets a workflow not push or not ask for review."""

import shlex
from typing import Any
from urllib.parse import quote

import issues
from github import SITE, GitHubError
from log import append
from proposal import Proposal

SETTING = "Settings > Actions > General > Allow GitHub Actions to create and approve pull requests"

MAY_NOT_OPEN = """\
The branch [`{branch}`]({site}/{repository}/tree/{branch_link}) waits for review, but a workflow may
not open its pull request: the setting **{setting}** is off.

**[Open the pull request]({site}/{repository}/compare/{compare})**; or
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


def write(it: Proposal, text: str) -> tuple[str, dict[str, Any] | None]:
    """Say in the one issue about the branch how to go on; returns where that is said."""
    text = _fill(it, text)
    try:
        known, says = issues.write(it.matter, it.title, f"{text}\n---\n\n{it.body}", it.labels)
    except GitHubError as error:
        if error.status != 410:  # issues are turned off
            raise
        append("GITHUB_STEP_SUMMARY", text)
        return "the summary of this run says how to go on", None
    did = "says how to go on" if says else "said how to go on, and was closed"
    return f"{known['html_url']} {did}", known


def close(it: Proposal, pull: str) -> None:
    """Close the issue, if there is one: the pull request is there now."""
    try:
        issues.close(it.matter, it.labels[0], f"{pull} is open now.")
    except GitHubError as error:
        if error.status != 410:
            raise


def _fill(it: Proposal, text: str) -> str:
    """Put names into a text; what a person will copy into a shell is quoted for it."""
    labels = map(quote, it.labels)
    return text.format(
        site=SITE,
        repository=it.repository,
        setting=SETTING,
        by_hand=it.by_hand.strip(),
        secret=it.secret,
        title=shlex.quote(it.title),
        base=shlex.quote(it.base),
        branch=shlex.quote(it.branch),
        branch_link=quote(it.branch),
        compare=f"{quote(it.base)}...{quote(it.branch)}?expand=1&labels={','.join(labels)}",
    )
