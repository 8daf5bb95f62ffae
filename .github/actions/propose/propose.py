"""Put changes on a branch and ask for review; where GitHub refuses, an issue says how to go on.

Nothing of what is proposed is run here: it may be the work of others.
"""

import os
import sys
from pathlib import Path
from typing import Any

import branch
import review
from accept import accept
from branch import LeftAloneError, MayNotPushError
from github import CommandError, GitHubError, InputError, annotate, append, git
from proposal import Proposal

# What was done, the pull request, or the issue in its place, if there is one, and if it has news.
Outcome = tuple[str, dict[str, Any] | None, bool]


def propose(it: Proposal, commit: str, paths: list[str]) -> Outcome:
    """Make ``commit`` what the branch is, and ask for review.

    Raises
    ------
    LeftAloneError
        When somebody has committed to the branch, or closed the same proposal.
    """
    if commit == git("rev-parse", "HEAD") and it.files:
        raise LeftAloneError(f"nothing new: {it.base} has the same files")
    there = branch.commit_of(it, it.branch)
    before = known = must_be_ours(it, commit, there)
    if it.files and there is None and not known:
        review.open_with_cml(it, paths)
        there = branch.commit_of(it, it.branch)
        known = must_be_ours(it, commit, there)
    is_new = there != commit
    if is_new:
        try:
            branch.push(it, commit, there)
        except MayNotPushError:
            said, page, has_news = review.write_issue(it, review.MAY_NOT_PUSH)
            reason = f"no workflow may change workflows with this token: {said}"
            raise LeftAloneError(reason, page, is_new=has_news or not page) from None
    if not known:
        try:
            known = review.open_with_gh(it)
        except review.MayNotOpenError:
            said, page, has_news = review.write_issue(it, review.MAY_NOT_OPEN)
            reason = f"pushed, but `{review.SETTING}` is off: {said}"
            return f"the branch {it.branch} is {reason}", page, has_news if page else is_new
        review.label(it, known)
    elif it.files:
        review.bring_up_to_date(it, known)
        review.make_draft_or_ready(it, known)
    elif is_new:
        review.bring_up_to_date(it, known)
    review.close_issue(it, known["html_url"])
    if not before:
        return f"opened {known['html_url']}", known, True
    if is_new:
        return f"updated {known['html_url']}", known, True
    return f"nothing new: {known['html_url']} proposes it", known, False


def must_be_ours(it: Proposal, commit: str, there: str | None) -> dict[str, Any] | None:
    """Return the open pull request, if there is one, unless people have decided otherwise."""
    pulls = review.pulls_of(it)
    if not _open(pulls) and pulls and not pulls[0]["merged_at"] and pulls[0]["title"] == it.title:
        same = pulls[0]["html_url"]
        raise LeftAloneError(f"left alone: {same} proposed the same, and was closed", pulls[0])
    merged = any(it["merged_at"] and it["head"]["sha"] == there for it in pulls)
    if there not in (None, commit) and not merged and branch.has_work_of_people(it, there):
        raise LeftAloneError(
            f"left alone: somebody has committed to the branch {it.branch}; "
            "once it is merged or deleted, this workflow uses it again",
            _open(pulls),
        )
    return _open(pulls)


def _open(pulls: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((it for it in pulls if it["state"] == "open"), None)


def run() -> Outcome:
    """Propose what the environment describes, and do what belongs to it."""
    paths: list[str] = []
    if os.environ["FILES"]:
        folder, body = Path(os.environ["FOLDER"]), Path(os.environ["BODY"])
        paths = accept(os.environ["FILES"].split(), folder, body)
    it = Proposal.from_environment()
    commit = git("rev-parse", "HEAD")
    if paths:
        git("add", "--", *paths)
        commit = branch.commit_staged(it.title)
    elif os.environ["PATCH"]:
        # To what will be committed, and not to the files here: no step reads what others wrote.
        git("apply", "--cached", "--whitespace=nowarn", os.environ["PATCH"])
        commit = branch.commit_staged(it.title)
    try:
        sentence, page, is_new = propose(it, commit, paths)
    except LeftAloneError as reason:
        return str(reason), reason.page, reason.is_new
    if it.supersedes and page:
        review.close_older(it, page["html_url"])
    return sentence, page, is_new


def main() -> None:
    try:
        sentence, page, is_new = run()
    except (InputError, CommandError) as error:
        words = f"GitHub: {error}" if isinstance(error, GitHubError) else str(error)
        annotate("error", "Propose", words)
        sys.exit(1)
    annotate("notice", "Propose", sentence)
    append("GITHUB_STEP_SUMMARY", f"{sentence[0].upper()}{sentence[1:]}.")
    if page:
        append("GITHUB_OUTPUT", f"url={page['html_url']}\nnumber={page['number']}")
    append("GITHUB_OUTPUT", f"new={str(is_new).lower()}")


if __name__ == "__main__":
    main()
