"""GitHub, through ``git`` and ``gh``, which every runner has."""

import json
import os
import re
import subprocess
from typing import Any

SITE = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
TIMEOUT = 120  # seconds


class CommandError(Exception):
    """``git`` or ``gh`` failed; the text is what it said, in one line."""


class GitHubError(CommandError):
    """GitHub's answer was an error; ``status`` is 0 where there was no answer."""

    def __init__(self, message: str) -> None:
        status = re.search(r"\(HTTP (\d{3})\)", message)
        self.status = int(status[1]) if status else 0
        super().__init__(f"GitHub: {one_line(message)}")


def git(*arguments: str, given: str = "", **environment: str) -> str:
    """Run git, which has its credentials from the environment that action.yml sets."""
    done = _run(["git", *arguments], given, {"LC_ALL": "C", **environment})
    if done.returncode:
        raise CommandError(f"git {arguments[0]}: {one_line(done.stderr)}")
    return done.stdout.strip()


def api(method: str, path: str, **fields: Any) -> Any:
    """Call the API; fields are sent as JSON, as arguments have a limit and a syntax."""
    command = ["gh", "api", "--method", method, path]
    if fields:
        command += ["--input", "-"]
    done = _run(command, json.dumps(fields), {})
    if done.returncode:
        raise GitHubError(done.stderr.strip() or f"gh ended with {done.returncode}")
    return json.loads(done.stdout)


def one_line(text: str) -> str:
    """Make text of others harmless in a log, where a line may be a command to the runner."""
    text = " ".join(text.replace(os.environ["GH_TOKEN"], "***").split())
    return text.replace("::", ": :").replace("##[", "## [")[:1000]


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
