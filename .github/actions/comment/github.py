"""GitHub's API, through ``gh``, which every runner has."""

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from log import one_line

TIMEOUT = 60  # seconds


class GitHubError(Exception):
    """GitHub refused, or did not answer: then ``status`` is 0."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class OutdatedError(Exception):
    """The pull request has a newer commit than the report."""


def api(path: str, *options: str, **fields: str) -> Any:
    """Call the API; fields are sent as JSON, as arguments have a limit and a syntax."""
    command = ["gh", "api", *options, path]
    if fields:
        command += ["--input", "-"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(fields) if fields else None,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GitHubError(0, f"no answer within {TIMEOUT} seconds") from None
    except OSError as error:
        raise GitHubError(0, one_line(str(error))) from None
    if done.returncode:
        status = re.search(r"\(HTTP (\d{3})\)", done.stderr)
        message = done.stderr.strip().removeprefix("gh: ") or f"gh ended with {done.returncode}"
        raise GitHubError(int(status[1]) if status else 0, one_line(message))
    return json.loads(done.stdout)


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
        head = api(f"repos/{self.repository}/pulls/{self.number}")["head"]["sha"]
        if head != self.sha:
            raise OutdatedError(f"the report is about {self.sha}, the newest commit is {head}")

    def comments(self) -> list[dict[str, Any]]:
        """Return all comments, oldest first."""
        path = f"repos/{self.repository}/issues/{self.number}/comments?per_page=100"
        return [comment for page in api(path, "--paginate", "--slurp") for comment in page]

    def add_comment(self, body: str) -> str:
        """Write a new comment; returns its address."""
        path = f"repos/{self.repository}/issues/{self.number}/comments"
        return str(api(path, "--method=POST", body=body)["html_url"])

    def change_comment(self, comment: dict[str, Any], body: str) -> str:
        """Replace the text of a comment; returns its address."""
        path = f"repos/{self.repository}/issues/comments/{comment['id']}"
        return str(api(path, "--method=PATCH", body=body)["html_url"])
