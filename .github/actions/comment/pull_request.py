"""The pull request, its newest commit, and its comments."""

from dataclasses import dataclass
from typing import Any

from github import api


class OutdatedError(Exception):
    """The pull request has a newer commit than the report."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, and the commit of it that the report is about."""

    repository: str
    number: str
    sha: str

    def must_be_newest(self) -> None:
        """Refuse to go on when there is a newer commit: a slow or repeated run must not win.

        Asked right before every write. In the second that is left, a newer run would have to start,
        train and comment. What cannot be seen from here is another run about the same commit: the
        concurrency group of the workflow lets only one of them go on at a time.
        """
        head = api("GET", f"repos/{self.repository}/pulls/{self.number}")["head"]["sha"]
        if head != self.sha:
            raise OutdatedError(f"the report is about {self.sha}, the newest commit is {head}")

    def comments(self) -> list[dict[str, Any]]:
        """Return all comments, oldest first."""
        path = f"repos/{self.repository}/issues/{self.number}/comments?per_page=100"
        return [comment for page in api("GET", path, "--paginate", "--slurp") for comment in page]

    def add_comment(self, body: str) -> str:
        """Write a new comment; returns its address."""
        path = f"repos/{self.repository}/issues/{self.number}/comments"
        return str(api("POST", path, body=body)["html_url"])

    def change_comment(self, comment: dict[str, Any], body: str) -> str:
        """Replace the text of a comment; returns its address."""
        path = f"repos/{self.repository}/issues/comments/{comment['id']}"
        return str(api("PATCH", path, body=body)["html_url"])
