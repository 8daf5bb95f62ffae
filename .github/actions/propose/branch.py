"""Branches on GitHub: the commit that is to be on one, whose work they hold, how they are moved.

The same changes of the same commit make the same commit.
"""

import re
from urllib.parse import quote

from github import CommandError, api, git
from proposal import Proposal

NAME = "github-actions[bot]"
# The number is its user: GitHub then shows the bot beside the commit.
EMAIL = "41898282+github-actions[bot]@users.noreply.github.com"


class LeftAloneError(Exception):
    """Somebody else's work or decision is in the way, and that is fine; the text says what."""

    def __init__(
        self, why: str, page: dict[str, object] | None = None, is_new: bool = False
    ) -> None:
        super().__init__(why)
        self.page = page
        self.is_new = is_new


class MayNotPushError(Exception):
    """GitHub lets this token not push changes of workflows."""


def dates() -> dict[str, str]:
    """Return when git is to say that it commits: at the time of the commit before."""
    date = git("log", "-1", "--format=%cI")
    return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def commit_staged(title: str) -> str:
    """Make a commit of what is staged, which HEAD stays behind; without changes, it is HEAD."""
    tree = git("write-tree")
    if tree == git("rev-parse", "HEAD^{tree}"):
        return git("rev-parse", "HEAD")
    who: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": NAME, f"GIT_{role}_EMAIL": EMAIL}
    return git("commit-tree", tree, "-p", "HEAD", given=f"{title}\n", **who, **dates())


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
    """Push, unless somebody else did since we looked.

    Raises
    ------
    LeftAloneError
        When somebody did.
    MayNotPushError
        When the changes are of workflows, too.
    """
    lease = f"--force-with-lease={it.ref}:{there or ''}"
    try:
        git("push", "--quiet", lease, it.address, f"{commit}:{it.ref}")
    except CommandError as error:
        if re.search("refusing to allow .* to create or update workflow", str(error)):
            raise MayNotPushError from None
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
