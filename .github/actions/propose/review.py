"""How people are asked for review: by a pull request, or by an issue where GitHub refuses that."""

import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import branch
import cml
import issues
from branch import EMAIL, NAME, dates
from github import SITE, CommandError, GitHubError, annotate, api, append, gh, git
from proposal import Proposal

REFUSED = "not permitted to create or approve pull requests"
NO_DRAFTS = "Draft pull requests are not supported"  # in private repositories of free plans
LONGEST_ARGUMENT = 120_000  # bytes; Linux takes 131,071
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


class MayNotOpenError(Exception):
    """GitHub's setting keeps workflows from opening pull requests."""


def pulls_of(it: Proposal) -> list[dict[str, Any]]:
    """Return the pull requests of the branch, also closed ones, the newest first."""
    owner = it.repository.split("/")[0]
    asked = {"state": "all", "head": f"{owner}:{it.branch}", "base": it.base, "per_page": 100}
    return list(api("GET", f"{it.api}/pulls?{urlencode(asked)}"))


def open_with_cml(it: Proposal, paths: list[str]) -> None:
    """Let CML commit the files, push the branch and open the pull request.

    It may stop in the middle: whoever calls this looks at what is there afterwards.
    """
    settings = Path(git("rev-parse", "--git-path", "config"))
    before = settings.read_bytes()
    body = it.text.encode()[:LONGEST_ARGUMENT].decode(errors="ignore")
    try:
        if not (program := cml.installed()):
            return  # no file of it is on record yet: gh does the same
        cml.write(
            "the pull request",
            program,
            *("pr", "create", *paths),
            *(f"--branch={it.branch}", f"--target-branch={it.base}"),
            *(f"--title={it.title}", f"--body={body}"),
            f"--message={it.title}",  # its own would tell GitHub to skip the runs of a merge
            *(f"--user-name={NAME}", f"--user-email={EMAIL}"),
            sha=git("rev-parse", "HEAD"),
            **dates(),
        )
    except cml.CmlError as error:
        if REFUSED not in str(error):  # which is said with more words later
            annotate("warning", "Propose", f"The pull request is opened without CML: {error}")
    finally:
        settings.write_bytes(before)  # CML leaves the token there


def open_with_gh(it: Proposal) -> dict[str, Any]:
    """Open a pull request for the branch.

    Raises
    ------
    MayNotOpenError
        When the setting is off.
    """
    wanted = {"head": it.branch, "base": it.base, "title": it.title, "body": it.text}
    try:
        return dict(api("POST", f"{it.api}/pulls", **wanted, draft=it.draft))
    except GitHubError as error:
        if REFUSED in str(error):
            raise MayNotOpenError from None
        if NO_DRAFTS not in str(error):
            raise
        annotate("warning", "Propose", f"The pull request is no draft: {error}")
        return dict(api("POST", f"{it.api}/pulls", **wanted))


def bring_up_to_date(it: Proposal, pull: dict[str, Any]) -> None:
    """Give the pull request the words and labels of the proposal."""
    words = {"title": it.title, "body": it.text}
    if changed := {name: text for name, text in words.items() if pull[name] != text}:
        api("PATCH", f"{it.api}/pulls/{pull['number']}", **changed)
    label(it, pull)


def label(it: Proposal, pull: dict[str, Any]) -> None:
    known = {label["name"] for label in pull["labels"]}
    if not known.issuperset(it.labels):
        api("POST", f"{it.api}/issues/{pull['number']}/labels", labels=it.labels)


def make_draft_or_ready(it: Proposal, pull: dict[str, Any]) -> None:
    """Make it a draft or ready for review, which neither CML nor GitHub's REST API can."""
    if pull["draft"] == it.draft:
        return
    undo = ["--undo"] if it.draft else []
    try:
        gh("pr", "ready", str(pull["number"]), *undo, "--repo", it.repository)
    except CommandError as error:
        state = "a draft" if it.draft else "ready for review"
        annotate("warning", "Propose", f"{pull['html_url']} cannot be made {state}: {error}")


def write_issue(it: Proposal, text: str) -> tuple[str, dict[str, Any] | None, bool]:
    """Say in the one issue about the branch how to go on; returns where that is said, if newly."""
    text = _fill(it, text)
    try:
        known, done = issues.write(it.matter, it.title, f"{text}\n---\n\n{it.body}", it.labels)
    except GitHubError as error:
        if error.status != 410:  # issues are turned off
            raise
        append("GITHUB_STEP_SUMMARY", text)
        return "the summary of this run says how to go on", None, False
    did = "says how to go on" if done else "said how to go on, and was closed"
    return f"{known['html_url']} {did}", known, done in ("opened", "changed")


def close_issue(it: Proposal, pull: str) -> None:
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


def close_older(it: Proposal, new: str) -> None:
    """Close the open pull requests and issues, with a link to the new one; delete their branches.

    A branch stays where people have committed to it. What they have opened for their own commits,
    or taken the label off, is theirs and stays open.
    """
    why = f"Superseded by {new}."
    for pull in _older_pulls(it):
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
    for name in _older_branches_in_issues(it):
        issues.close(f"proposal: {name}", it.labels[0], why, "not_planned")
        commit = branch.commit_of(it, name)
        if commit and not _is_open(it, name) and not branch.has_work_of_people(it, commit):
            branch.delete(it, name, commit)


def _older_pulls(it: Proposal) -> list[dict[str, Any]]:
    asked = {"state": "open", "base": it.base, "per_page": 100}
    return [
        pull
        for pull in api("GET", f"{it.api}/pulls?{urlencode(asked)}")
        if pull["head"]["repo"]
        and pull["head"]["repo"]["full_name"] == it.repository
        and _is_other(it, pull["head"]["ref"])
        and it.labels[0] in {label["name"] for label in pull["labels"]}
    ]


def _older_branches_in_issues(it: Proposal) -> list[str]:
    marks = (
        re.match(r"<!-- proposal: (\S+) -->", x["body"])
        for x in issues.listed(it.labels[0], "open")
    )
    return [mark[1] for mark in marks if mark and _is_other(it, mark[1])]


def _is_other(it: Proposal, name: str) -> bool:
    return name.startswith(it.supersedes) and name != it.branch


def _is_open(it: Proposal, name: str) -> bool:
    """Return whether somebody asks for review of a branch."""
    asked = {"state": "open", "head": f"{it.repository.split('/')[0]}:{name}"}
    return bool(api("GET", f"{it.api}/pulls?{urlencode(asked)}"))
