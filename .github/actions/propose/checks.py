"""The checks of what is proposed: what a bot has pushed starts none by itself."""

from urllib.parse import quote, urlencode

from github import GitHubError, api
from log import annotate
from proposal import Proposal


def start(it: Proposal, commit: str) -> None:
    """Start the workflow on the branch, unless it was started for this commit already.

    Its checks are then those of the pull request, too, as they belong to the commit.
    """
    workflow = f"{it.api}/actions/workflows/{quote(it.dispatch)}"
    asked = {"head_sha": commit, "event": "workflow_dispatch", "per_page": 1}
    try:
        if api("GET", f"{workflow}/runs?{urlencode(asked)}")["total_count"] == 0:
            api("POST", f"{workflow}/dispatches", ref=it.branch)
    except GitHubError as error:
        by_hand = f"gh workflow run {it.dispatch} --ref {it.branch}"
        annotate("warning", "Propose", f"The checks are not started ({error}); run `{by_hand}`")
