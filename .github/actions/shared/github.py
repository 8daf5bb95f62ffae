"""GitHub, through ``git`` and ``gh``, which every runner has."""

import json
import os
import re
import subprocess
from typing import Any

from log import one_line

SITE = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
TIMEOUT = 120  # seconds
LONGEST = 1000  # characters of what a command says


class CommandError(Exception):
    """``git`` or ``gh`` failed; the text is what it said, in one line."""


class GitHubError(CommandError):
    """GitHub refused, or did not answer: then ``status`` is 0."""

    def __init__(self, message: str) -> None:
        status = re.search(r"\(HTTP (\d{3})\)", message)
        self.status = int(status[1]) if status else 0
        super().__init__(message)


def git(*arguments: str, given: str = "", **environment: str) -> str:
    """Run git, which has its credentials from the environment that action.yml sets."""
    done = _run(["git", *arguments], given, {"LC_ALL": "C", **environment})
    if done.returncode:
        raise CommandError(f"git {arguments[0]}: {one_line(done.stderr, LONGEST)}")
    return done.stdout.strip()


def gh(*arguments: str, given: str = "") -> str:
    """Run gh, which takes the token from ``GH_TOKEN``."""
    try:
        done = _run(["gh", *arguments], given, {})
    except CommandError as error:
        raise GitHubError(str(error)) from None
    if done.returncode:
        said = done.stderr.strip().removeprefix("gh: ") or f"gh ended with {done.returncode}"
        raise GitHubError(one_line(said, LONGEST))
    return done.stdout


def api(method: str, path: str, *options: str, **fields: Any) -> Any:
    """Call the API; fields are sent as JSON, as arguments have a limit and a syntax."""
    sent = ("--input", "-") if fields else ()
    said = gh("api", "--method", method, *options, path, *sent, given=json.dumps(fields))
    return json.loads(said) if said else None


def _run(
    command: list[str], given: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=given,
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise CommandError(f"{command[0]} cannot be used: {one_line(str(error))}") from None
