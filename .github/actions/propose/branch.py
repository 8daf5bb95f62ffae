"""Branches on GitHub: where they are, whose work they hold, and how they are moved or deleted."""

import re
from urllib.parse import quote

import issue
from commits import EMAIL
from github import CommandError, api, git
from proposal import Proposal


class LeftAloneError(Exception):
    """Somebody else's work or decision is in the way, and that is fine; the text says what."""

    def __init__(self, why: str, page: dict[str, object] | None = None) -> None:
        super().__init__(why)
        self.page = page


def commit_of(it: Proposal, branch: str) -> str | None:
    """Return the newest commit of a branch, or None where there is no such branch."""
    listed = git("ls-remote", it.address, f"refs/heads/{branch}")
    return listed.split()[0] if listed else None


def has_work_of_people(it: Proposal, commit: str) -> bool:
    """Return whether anybody else wrote, amended or merged a commit that the base lacks."""
    compared = api("GET", f"{it.api}/compare/{quote(it.base)}...{commit}")
    emails = {
        commit["commit"][role]["email"]
        for commit in compared["commits"]
        for role in ("author", "committer")
    }
    return not emails <= {EMAIL}


def push(it: Proposal, commit: str, there: str | None) -> None:
    """Push, unless somebody else did since we looked."""
    lease = f"--force-with-lease={it.ref}:{there or ''}"
    try:
        git("push", "--quiet", lease, it.address, f"{commit}:{it.ref}")
    except CommandError as error:
        if re.search("refusing to allow .* to create or update workflow", str(error)):
            done, page = issue.write(it, issue.MAY_NOT_PUSH)
            reason = f"no workflow may change workflows with this token: {done}"
            raise LeftAloneError(reason, page) from None
        if "stale info" in str(error):
            raise LeftAloneError(
                f"left alone: somebody has just pushed to the branch {it.branch}"
            ) from None
        raise


def delete(it: Proposal, branch: str, commit: str) -> None:
    """Delete a branch, unless somebody else has pushed to it since we looked."""
    ref = f"refs/heads/{branch}"
    try:
        git("push", "--quiet", f"--force-with-lease={ref}:{commit}", it.address, f":{ref}")
    except CommandError as error:
        if "stale info" not in str(error):
            raise
