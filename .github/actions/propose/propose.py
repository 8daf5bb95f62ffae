"""Put changes on a branch and ask for review; where GitHub refuses, an issue says how to go on.

Nothing of what is proposed is run here: it may be the work of others.
"""

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import issue
from proposal import Proposal
from remote import CommandError, GitHubError, api, git

NAME = "github-actions[bot]"
# The number is its user: GitHub then shows the bot beside the commit.
EMAIL = "41898282+github-actions[bot]@users.noreply.github.com"


class NotProposedError(Exception):
    """Nobody could be asked for review, and nothing went wrong; the text says why."""


def propose(it: Proposal, commit: str) -> str:
    """Make ``commit`` what the branch is, and ask for review; returns what was done."""
    owner = it.repository.split("/")[0]
    asked = {"state": "all", "head": f"{owner}:{it.branch}", "base": it.base, "per_page": 100}
    pulls = api("GET", f"{it.api}/pulls?{urlencode(asked)}")
    pull = next((pull for pull in pulls if pull["state"] == "open"), None)
    if pulls and not pull and not pulls[0]["merged_at"] and pulls[0]["title"] == it.title:
        same = pulls[0]["html_url"]
        raise NotProposedError(f"left alone: {same} proposed the same, and was closed")

    listed = git("ls-remote", it.address, it.ref)
    there = listed.split()[0] if listed else None
    merged = any(pull["merged_at"] and pull["head"]["sha"] == there for pull in pulls)
    if there not in (None, commit) and not merged and has_work_of_people(it, there):
        raise NotProposedError(
            f"left alone: somebody has committed to the branch {it.branch}; "
            "once it is merged or deleted, this workflow uses it again"
        )
    if there != commit:
        push(it, commit, there)
    if not pull:
        done = open_pull(it)
    elif there == commit:
        done = f"nothing new: {pull['html_url']} proposes it"
    else:
        done = change_pull(it, pull["number"])
    issue.close(it)
    return done


def has_work_of_people(it: Proposal, there: str) -> bool:
    """Return whether anybody else wrote, amended or merged a commit that the base lacks."""
    compared = api("GET", f"{it.api}/compare/{quote(it.base)}...{there}")
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
            done = issue.write(it, issue.MAY_NOT_PUSH)
            reason = f"no workflow may change workflows with this token: {done}"
        elif "stale info" in str(error):
            reason = f"left alone: somebody has just pushed to the branch {it.branch}"
        else:
            raise
        raise NotProposedError(reason) from None


def open_pull(it: Proposal) -> str:
    words = {"title": it.title, "body": it.body}
    try:
        pull = api("POST", f"{it.api}/pulls", head=it.branch, base=it.base, draft=it.draft, **words)
    except GitHubError as error:
        if "not permitted to create or approve pull requests" not in str(error):
            raise
        done = issue.write(it, issue.MAY_NOT_OPEN)
        raise NotProposedError(
            f"the branch {it.branch} is pushed, but `{issue.SETTING}` is off: {done}"
        ) from None
    api("POST", f"{it.api}/issues/{pull['number']}/labels", labels=it.labels)
    return f"opened {pull['html_url']}"


def change_pull(it: Proposal, number: int) -> str:
    pull = api("PATCH", f"{it.api}/pulls/{number}", title=it.title, body=it.body)
    return f"updated {pull['html_url']}"


def commit_patch(patch: str, title: str) -> None:
    """Commit the patch. The same patch on the same commit makes the same commit, at any time."""
    date = git("log", "-1", "--format=%cI")
    git("apply", "--index", "--whitespace=nowarn", patch)
    who = {}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": NAME, f"GIT_{role}_EMAIL": EMAIL, f"GIT_{role}_DATE": date}
    git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--file=-", given=title, **who)


def annotate(level: str, sentence: str) -> None:
    print(f"::{level} title=Propose::{sentence.replace('%', '%25')}", flush=True)


def main() -> None:
    it = Proposal.from_environment()
    try:
        if os.environ["PATCH"]:
            commit_patch(os.environ["PATCH"], it.title)
        done = propose(it, git("rev-parse", "HEAD"))
    except NotProposedError as reason:
        done = str(reason)
    except CommandError as error:
        annotate("error", str(error))
        sys.exit(1)
    annotate("notice", done)
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"{done[0].upper()}{done[1:]}.\n")


if __name__ == "__main__":
    main()
