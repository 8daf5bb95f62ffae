"""The pull request: opened by CML or by gh, and brought up to date."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cml
from commits import EMAIL, NAME, dates
from github import CommandError, GitHubError, api, gh, git
from log import annotate
from proposal import Proposal

REFUSED = "not permitted to create or approve pull requests"
NO_DRAFTS = "Draft pull requests are not supported"  # in private repositories of free plans
LONGEST_ARGUMENT = 120_000  # bytes; Linux takes 131,071


class MayNotOpenError(Exception):
    """GitHub's setting keeps workflows from opening pull requests."""


def all_of(it: Proposal) -> list[dict[str, Any]]:
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
    body = it.body.encode()[:LONGEST_ARGUMENT].decode(errors="ignore")
    try:
        cml.write(
            "the pull request",
            cml.installed(),
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
    wanted = {"head": it.branch, "base": it.base, "title": it.title, "body": it.body}
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
    words = {"title": it.title, "body": it.body}
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
