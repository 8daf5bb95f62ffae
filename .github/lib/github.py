"""GitHub for a step of a workflow: asked through ``git`` and ``gh``, and told what came of it.

Text from elsewhere could hold commands to the runner (``::add-mask::``, ``##[group]``), so it is
only ever printed through `one_line`.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

SITE = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
TIMEOUT = 120  # seconds
LONGEST_SAID = 1000  # characters of what a command says
LONGEST = 300  # characters of anything that others wrote


class InputError(Exception):
    """The step was given something that it cannot use; the text says what."""


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
        raise CommandError(f"git {arguments[0]}: {one_line(done.stderr, LONGEST_SAID)}")
    return done.stdout.strip()


def gh(*arguments: str, given: str = "") -> str:
    """Run gh, which takes the token from ``GH_TOKEN``."""
    try:
        done = _run(["gh", *arguments], given, {})
    except CommandError as error:
        raise GitHubError(str(error)) from None
    if done.returncode:
        said = done.stderr.strip().removeprefix("gh: ") or f"gh ended with {done.returncode}"
        raise GitHubError(one_line(said, LONGEST_SAID))
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


def one_line(text: str, longest: int = LONGEST) -> str:
    """Shorten text of others to one line without secrets or commands."""
    token = os.environ.get("GH_TOKEN")
    if token:
        text = text.replace(token, "***")
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()
    text = text.replace("::", ": :").replace("##[", "## [")
    return text if len(text) <= longest else f"{text[:longest]}…"


def read(path: Path, what: str, longest: int) -> str:
    """Return a text, or as much of it as is wanted."""
    if path.is_symlink() or not path.is_file():  # a link to this job's environment, say
        raise InputError(f"{str(path)!a}, {what}, has to be a file")
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(longest)


def annotate(level: str, title: str, sentence: str) -> None:
    """Say something beside the run: an ``error``, a ``warning`` or a ``notice``."""
    escaped = sentence.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level} title={title}::{escaped}", flush=True)


def append(variable: str, line: str) -> None:
    """Add a line to a file of the runner, such as ``GITHUB_OUTPUT``."""
    with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
